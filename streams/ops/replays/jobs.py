"""Replays as processes of their own: so many at once, in order, ended with the dashboard, with progress to look at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import structlog

from streams.kafka.clients import BrokerAway
from streams.kafka.topics_admin import TopicError
from streams.ops.replays.asked import JobState, ReplayJob, ReplayOrder
from streams.ops.replays.export import export
from streams.ops.replays.shelf import OrderError, Shelf
from streams.replay.run_dir import SUMMARY, RunDirError
from streams.settings import KafkaSettings, OpsSettings

_log = structlog.get_logger(__name__)
_MOST_WAITING = 20
_MOST_REMEMBERED = 50
_LAST_LINES = 20
_LONGEST_LINE = 500
_ENDS_WITHIN_SECONDS = 10.0
_ENDED: frozenset[JobState] = frozenset({"done", "failed", "stopped"})


class Jobs:
    """Starts replays; `command` is what runs one, to which a log and options are added; no shell is involved.

    `kafka` is None where there is none to export a time range from.
    """

    def __init__(self, ops: OpsSettings, command: Sequence[str], kafka: KafkaSettings | None) -> None:
        self.shelf = Shelf(ops)
        self._ops = ops
        self._command = tuple(command)
        self._kafka = kafka
        self._changed = threading.Condition()
        self._jobs: dict[str, ReplayJob] = {}
        self._waiting: deque[str] = deque()
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._stopping: set[str] = set()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"replay-{number}", daemon=True)
            for number in range(ops.replays_at_once)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, order: ReplayOrder) -> ReplayJob:
        """Put a replay in the line; raises OrderError for one that cannot be."""
        self._check(order)
        job = ReplayJob(id=uuid4().hex[:8], order=order, state="waiting", asked_at=datetime.now(UTC))
        with self._changed:
            if self._closed:
                raise OrderError("the dashboard is ending; start it again")
            if len(self._waiting) >= _MOST_WAITING:
                raise OrderError(f"{_MOST_WAITING} replays are waiting already; let some end, or stop some")
            self._jobs[job.id] = job
            self._waiting.append(job.id)
            while len(self._jobs) > _MOST_REMEMBERED:
                ended = next((name for name, one in self._jobs.items() if one.state in _ENDED), None)
                if ended is None:
                    break
                del self._jobs[ended]
            self._changed.notify()
        return job

    def all(self) -> tuple[ReplayJob, ...]:
        """Return the replays of this dashboard, the newest first."""
        with self._changed:
            return tuple(reversed(self._jobs.values()))

    def get(self, name: str) -> ReplayJob | None:
        """Return one replay."""
        with self._changed:
            return self._jobs.get(name)

    def stop(self, name: str) -> None:
        """End a replay; what it has written stays. Nothing happens to one that has ended."""
        with self._changed:
            job = self._jobs.get(name)
            if job is None or job.state in _ENDED:
                return
            self._stopping.add(name)
            if name in self._waiting:
                self._waiting.remove(name)
                self._jobs[name] = job.model_copy(update={"state": "stopped", "ended_at": datetime.now(UTC)})
            process = self._processes.get(name)
        if process is not None:
            _signal(process, signal.SIGTERM)
            last = threading.Timer(_ENDS_WITHIN_SECONDS, _signal, (process, signal.SIGKILL))
            last.daemon = True
            last.start()

    def close(self) -> None:
        """End all replays, and wait for them."""
        with self._changed:
            self._closed = True
            names = [name for name, job in self._jobs.items() if job.state not in _ENDED]
            self._changed.notify_all()
        for name in names:
            self.stop(name)
        for thread in self._threads:
            thread.join(2 * _ENDS_WITHIN_SECONDS)

    def _check(self, order: ReplayOrder) -> None:
        if (order.log is None) == (order.since is None):
            raise OrderError("name a log, or say since when; one of the two")
        if order.log is not None:
            self.shelf.log_path(order.log)
        elif self._kafka is None:
            raise OrderError("there is no Kafka to take a time range from; name a log")
        elif order.since is not None and order.until is not None and order.since >= order.until:
            raise OrderError("the time range ends before it begins")

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                name = self._waiting.popleft()
                order = self._jobs[name].order
            self._update(name, state="running" if order.log else "exporting", started_at=datetime.now(UTC))
            try:
                state, error = self._replay(name, order)
            except (OrderError, BrokerAway, TopicError, RunDirError, OSError) as failed:
                state, error = "failed", str(failed)
            except Exception as failed:  # noqa: BLE001 - the next in line must have its turn
                _log.exception("replay_failed", job=name)
                state, error = "failed", repr(failed)
            self._update(name, state=state, error=error, ended_at=datetime.now(UTC))

    def _replay(self, name: str, order: ReplayOrder) -> tuple[JobState, str | None]:
        folder = self._ops.runs_folder
        folder.mkdir(parents=True, exist_ok=True)
        stem = "range" if order.log is None else Path(order.log).name.split(".")[0]
        run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{stem}-{name}"
        exported = folder / f".{name}.jsonl.gz"
        try:
            log = self.shelf.log_path(order.log) if order.log is not None else self._export(name, order, exported)
            if log is None:
                return "stopped", None
            limit = () if order.limit is None else ("--limit", str(order.limit))
            return self._run(name, run, [str(log), "--out", str(folder / run), "--progress", "json", *limit])
        finally:
            exported.unlink(missing_ok=True)

    def _export(self, name: str, order: ReplayOrder, out: Path) -> Path | None:
        assert self._kafka is not None  # noqa: S101 - it was checked
        assert order.since is not None  # noqa: S101 - it was checked

        def go_on(share: float) -> bool:
            self._update(name, share=share)
            return name not in self._stopping

        found = export(self._kafka, self._ops, order.since, order.until or datetime.now(UTC), out, go_on)
        if name in self._stopping:
            return None
        if not found.scenes:
            raise OrderError("no scene came in that time; choose another")
        self._update(name, state="running", share=0.0)
        return out

    def _run(self, name: str, run: str, options: Sequence[str]) -> tuple[JobState, str | None]:
        last: deque[str] = deque(maxlen=_LAST_LINES)
        with self._changed:
            if name in self._stopping:
                return "stopped", None
            process = subprocess.Popen(  # noqa: S603 - the command is ours, a log is a path, and no shell reads it
                [*self._command, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._processes[name] = process
        try:
            assert process.stderr is not None  # noqa: S101 - it is a pipe
            with process.stderr as lines:
                for line in lines:
                    told = _progress(line)
                    if told is None:
                        last.append(line.rstrip()[:_LONGEST_LINE])
                    else:
                        self._update(name, **told)
            code = process.wait()
        finally:
            _signal(process, signal.SIGKILL)
            process.wait()
            with self._changed:
                del self._processes[name]
        if (self._ops.runs_folder / run / SUMMARY).is_file():
            self._update(name, run=run)
        if name in self._stopping:
            return "stopped", None
        if code:
            return "failed", "\n".join(last) or f"it ended with {code} and said nothing"
        self._update(name, share=1.0)
        return "done", None

    def _update(self, name: str, **changes: object) -> None:
        with self._changed:
            job = self._jobs.get(name)
            if job is not None:
                self._jobs[name] = job.model_copy(update=changes)


def _progress(line: str) -> dict[str, object] | None:
    """Return what a line says of progress; None for one that says something else."""
    if not line.startswith('{"progress":'):
        return None
    try:
        told = json.loads(line)["progress"]
        return {"scenes": int(told["scenes"]), "share": told["share"]}
    except (ValueError, KeyError, TypeError):
        return None


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal a process and all that it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)

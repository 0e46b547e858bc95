"""What lies on disk for replays: logs that may be replayed, and finished runs; names from outside stay inside."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from streams.ops.replays.asked import RunOnDisk
from streams.ops.replays.comparison import facts_of
from streams.replay.run_dir import SUMMARY, RunDirError
from streams.replay.run_reader import read_summary
from streams.settings import OpsSettings

_MOST_LISTED = 200
_SUFFIXES = (".jsonl", ".json", ".ndjson")


class OrderError(Exception):
    """A replay that cannot be started as asked; the message says what, where and what to do."""


class Shelf:
    """The folder of logs and the folder of runs."""

    def __init__(self, ops: OpsSettings) -> None:
        self._logs = ops.logs_folder
        self._runs = ops.runs_folder

    def logs(self) -> tuple[str, ...]:
        """Return the names of the logs that may be replayed; none where no folder is set."""
        if self._logs is None or not self._logs.is_dir():
            return ()
        found = sorted(path for path in self._logs.rglob("*") if _is_log(path))
        return tuple(path.relative_to(self._logs).as_posix() for path in found[:_MOST_LISTED])

    def log_path(self, name: str) -> Path:
        """Return the path of a log, links followed; raises OrderError where that is not in the folder of logs."""
        if self._logs is None:
            raise OrderError("no logs may be replayed from here; set SCENESTREAM_OPS__LOGS_FOLDER to their folder")
        # A name may hold what no path can: that is none either.
        with suppress(ValueError, OSError):
            path = (self._logs / name).resolve()
            if path.is_relative_to(self._logs.resolve()) and _is_log(path):
                return path
        raise OrderError(f"no log {name!r:.100} in {self._logs}; the list of logs names those that are there")

    def runs(self) -> tuple[RunOnDisk, ...]:
        """Return the finished runs, the newest first."""
        if not self._runs.is_dir():
            return ()
        ended = []
        for path in self._runs.iterdir():
            # One that goes while it is looked at, or may not be read, is no reason to show none.
            with suppress(OSError):
                ended.append(((path / SUMMARY).stat().st_mtime, path))
        found = []
        for _, path in sorted(ended, reverse=True)[:_MOST_LISTED]:
            with suppress(RunDirError, OSError):
                found.append(run_on_disk(path))
        return tuple(found)

    def run_path(self, name: str) -> Path:
        """Return the directory of a finished run; raises OrderError where there is none of that name."""
        with suppress(ValueError, OSError):
            path = self._runs / name
            if name not in {"", ".", ".."} and Path(name).name == name and (path / SUMMARY).is_file():
                return path
        raise OrderError(f"no finished run {name!r:.100} in {self._runs}; the list of runs names those that are there")


def _is_log(path: Path) -> bool:
    return path.is_file() and path.name.removesuffix(".gz").endswith(_SUFFIXES)


def run_on_disk(folder: Path) -> RunOnDisk:
    """Return a finished run in brief; raises RunDirError where `folder` is none."""
    summary = read_summary(folder)
    facts = facts_of(folder, summary)
    logs = summary.get("logs")
    return RunOnDisk(
        name=folder.name,
        at=datetime.fromtimestamp((folder / SUMMARY).stat().st_mtime, UTC),
        scenes=facts.scenes,
        digest=facts.digest,
        logs=tuple(str(log) for log in logs) if isinstance(logs, list) else (),
        interrupted=facts.interrupted,
    )

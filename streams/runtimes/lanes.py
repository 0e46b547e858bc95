"""Lanes: a thread that owns models, and the micro-batches that wait for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Task = TypeVar("Task", bound=str)
Entry = TypeVar("Entry")

# One batch runs while the next one waits behind it, so that the thread never idles while the stages run.
_BATCHES_IN_FLIGHT = 2


@dataclass(frozen=True, slots=True)
class Batching:
    """Scenes in a micro-batch at most, how long it waits to fill, and scenes read ahead of the oldest open one."""

    max_batch: int
    max_wait_ms: float
    open_scenes: int


@dataclass(frozen=True, slots=True)
class Finished(Generic[Task, Entry]):
    """A batch that a lane is done with: a result for each entry, or the error that ended it."""

    lane: Lane[Task, Entry]
    task: Task
    entries: Sequence[Entry]
    results: Sequence[object]
    error: BaseException | None


class Lane(Generic[Task, Entry]):
    """One thread for a few tasks; `ask` makes the call for a batch, `tell` takes what came of it, in this thread."""

    def __init__(
        self,
        name: str,
        tasks: Sequence[Task],
        batching: Batching,
        ask: Callable[[Task, Sequence[Entry]], Callable[[], Sequence[object]]],
        tell: Callable[[Finished[Task, Entry]], None],
    ) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: dict[Task, deque[Entry]] = {task: deque() for task in tasks}
        self._batching = batching
        self._ask = ask
        self._tell = tell
        self._in_flight = 0
        self._waiting_since_seconds = 0.0

    @property
    def idle(self) -> bool:
        """Whether the thread has nothing to do."""
        return self._in_flight == 0

    @property
    def filling(self) -> bool:
        """Whether entries wait for a batch to fill."""
        return any(self._waiting.values())

    def put(self, task: Task, entry: Entry) -> None:
        """Let an entry wait for the next batch of `task`."""
        if not self.filling:
            self._waiting_since_seconds = time.monotonic()
        self._waiting[task].append(entry)

    def dispatch(self, *, patient: bool) -> None:
        """Start the fullest of the waiting batches; a patient lane gives one that is not full its time to fill."""
        while self._in_flight < _BATCHES_IN_FLIGHT:
            task = max(self._waiting, key=lambda name: len(self._waiting[name]))
            waiting = self._waiting[task]
            full = len(waiting) >= self._batching.max_batch
            if not waiting or (not full and (not self.idle or (patient and self._has_time()))):
                return
            entries = [waiting.popleft() for _ in range(min(len(waiting), self._batching.max_batch))]
            self._waiting_since_seconds = time.monotonic()
            self._in_flight += 1
            self._thread.submit(self._work, task, entries, self._ask(task, entries))

    def done(self) -> None:
        """Count a finished batch off."""
        self._in_flight -= 1

    def close(self) -> None:
        """Wait for the batch that runs, drop those that wait, end the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _has_time(self) -> bool:
        return (time.monotonic() - self._waiting_since_seconds) * 1000 < self._batching.max_wait_ms

    def _work(self, task: Task, entries: Sequence[Entry], call: Callable[[], Sequence[object]]) -> None:
        try:
            self._tell(Finished(self, task, entries, call(), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that runs the stages
            self._tell(Finished(self, task, entries, (), error))

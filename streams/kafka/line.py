"""The line of one partition: its records from when they are read until they are prepared, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from streams.kafka.bisect import Batch, Culprit, joined, prepare
from streams.kafka.records import Handler, Place, Received
from streams.kafka.suspects import TRIES, Convicted, Suspects

# One that is ready while the one before it is sent, and one that is being prepared.
_TRANSACTIONS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Records in a transaction, records that wait before their partition is paused, seconds to restore: at most."""

    max_records: int
    max_buffered: int
    restore_seconds: float = 300.0


@dataclass(slots=True)
class _Ahead:
    records: Sequence[Received]
    batch: Batch[Any] | None = None


class Line:
    """Begins to prepare whatever comes at once, also while batches before it are being prepared, and keeps the order.

    So records wait for the models with all others that do, of any partition, to be answered together, and not here for
    the batch before theirs. As many are ahead as two transactions take; the others wait. Suspects are prepared alone,
    and until something was committed one batch is at a time, for each is noted before it is tried.
    """

    def __init__(
        self,
        place: Place,
        handler: Handler[Any],
        limits: Limits,
        suspects: Suspects,
        on_ready: Callable[[], None],
        on_room: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.place = place
        self._handler = handler
        self._limits = limits
        self._suspects = suspects
        self._on_ready = on_ready
        self._on_room = on_room
        self._fail = fail
        self._waiting: deque[Received] = deque()
        self._ahead: deque[_Ahead] = deque()
        self._records_ahead = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = False

    @property
    def is_full(self) -> bool:
        """Whether so many records wait that no more should be fetched."""
        return len(self._waiting) >= self._limits.max_buffered

    @property
    def ready(self) -> int:
        """How many records the next batch has; 0 where it is not prepared yet."""
        return len(self._ahead[0].records) if self._ahead and self._ahead[0].batch is not None else 0

    @property
    def suspected(self) -> bool:
        """Whether the next batch is a suspect, which is committed alone."""
        return bool(self._ahead) and self._suspects.of(self._ahead[0].records[0]) is not None

    def put(self, records: Sequence[Received]) -> None:
        """Take the next records."""
        self._waiting.extend(records)
        self._fill()

    def begin(self) -> None:
        """Begin to prepare what was put."""
        self._begun = True
        self._fill()

    def take(self, most: int) -> Batch[Any]:
        """Return the next batch, which is ready, together with those behind it that are, `most` records in all."""
        batches: list[Batch[Any]] = []
        alone, count = self.suspected, 0
        while self._ahead and (batch := self._ahead[0].batch) is not None:
            records = self._ahead[0].records
            if batches and (alone or self.suspected or len(records) > most - count):
                break
            batches.append(batch)
            count += len(records)
            self._ahead.popleft()
        self._records_ahead -= count
        self._fill()
        return joined(batches)

    def drop(self) -> list[asyncio.Task[None]]:
        """Forget all records; return what was being prepared, cancelled."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        self._waiting.clear()
        self._ahead.clear()
        self._records_ahead = 0
        self._begun = False
        return tasks

    def _fill(self) -> None:
        was_full = self.is_full
        while self._begun and self._waiting:
            most = min(len(self._waiting), self._limits.max_records)
            most = self._suspects.trials.most(self.place, self._waiting[0], most)
            count = self._suspects.before_next(self.place, self._waiting, most)
            if not self._has_room(count):
                break
            ahead = _Ahead([self._waiting.popleft() for _ in range(count)])
            self._ahead.append(ahead)
            self._records_ahead += count
            task = asyncio.create_task(self._try(ahead), name=f"prepare-{self.place.topic}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        if was_full and not self.is_full:
            self._on_room()

    def _has_room(self, count: int) -> bool:
        """Return whether a batch of so many fits: whole ones only, so that what lags goes in large ones."""
        if self._suspects.trials.is_proven(self.place):
            return self._records_ahead + count <= _TRANSACTIONS_AHEAD * self._limits.max_records
        return not self._ahead

    async def _try(self, ahead: _Ahead) -> None:
        async with self._suspects.trying(self._handler.stage, ahead.records) as committed:
            ahead.batch = await self._prepare(ahead.records)
            if self.ready:
                self._on_ready()
            if committed is not None:
                await committed.wait()

    async def _prepare(self, records: Sequence[Received]) -> Batch[Any]:
        suspect = self._suspects.of(records[0])
        if suspect is not None and suspect.tries >= TRIES:
            return Batch(self._handler, (), (), (Culprit(records[0], Convicted(suspect)),))
        return await prepare(self._handler, records, suspect)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

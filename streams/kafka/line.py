"""The line of one partition: its records from when they are read until they are prepared, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from streams.kafka.bisect import Batch, Culprit, joined, prepare
from streams.kafka.records import Handler, Place, Received
from streams.kafka.suspects import TRIES, Convicted, Suspects

# One that is ready while the one before it is sent, and one that is being prepared.
_TRANSACTIONS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Records in a transaction, records and bytes that wait before their partition is paused, seconds to restore."""

    max_records: int
    max_buffered: int
    restore_seconds: float = 300.0
    max_buffered_bytes: int = 8 * 2**20


@dataclass(slots=True)
class _Ahead:
    records: Sequence[Received]
    size_bytes: int
    batch: Batch[Any] | None = None


class Line:
    """Begins to prepare whatever comes at once, also while batches before it are being prepared, and keeps the order.

    So records wait for the models with all others that do, of any partition, to be answered together, and not here for
    the batch before theirs. As many are ahead as two transactions take, and as many bytes as may wait; the others wait.
    A record that is larger than all that goes alone. Suspects are prepared alone, and until something was committed one
    batch is at a time, for each is noted before it is tried.
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
        # Of those that wait, in the same order: counted once, for what is full is looked at again and again.
        self._sizes: deque[int] = deque()
        self._ahead: deque[_Ahead] = deque()
        self._waiting_bytes = 0
        self._records_ahead = 0
        self._bytes_ahead = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = False

    @property
    def is_full(self) -> bool:
        """Whether so many records or bytes wait that no more should be fetched."""
        limits = self._limits
        return len(self._waiting) >= limits.max_buffered or self._waiting_bytes >= limits.max_buffered_bytes

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
        sizes = [*map(_size, records)]
        self._sizes.extend(sizes)
        self._waiting_bytes += sum(sizes)
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
            records, size = self._ahead[0].records, self._ahead[0].size_bytes
            if batches and (alone or self.suspected or len(records) > most - count):
                break
            batches.append(batch)
            count += len(records)
            self._bytes_ahead -= size
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
        self._sizes.clear()
        self._ahead.clear()
        self._waiting_bytes = self._records_ahead = self._bytes_ahead = 0
        self._begun = False
        return tasks

    def _fill(self) -> None:
        was_full = self.is_full
        while self._begun and self._waiting:
            most = min(len(self._waiting), self._limits.max_records)
            most = self._suspects.trials.most(self.place, self._waiting[0], most)
            count = self._suspects.before_next(self.place, self._waiting, most)
            count, size = self._within_bytes(count)
            if not self._has_room(count, size):
                break
            ahead = _Ahead([self._waiting.popleft() for _ in range(count)], size)
            for _ in range(count):
                self._sizes.popleft()
            self._ahead.append(ahead)
            self._waiting_bytes -= size
            self._bytes_ahead += size
            self._records_ahead += count
            task = asyncio.create_task(self._try(ahead), name=f"prepare-{self.place.topic}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        if was_full and not self.is_full:
            self._on_room()

    def _within_bytes(self, most: int) -> tuple[int, int]:
        """Return how many of the waiting records make a batch, one at least, and how many bytes they are."""
        most_bytes, size = self._limits.max_buffered_bytes // _TRANSACTIONS_AHEAD, 0
        for count, more in enumerate(islice(self._sizes, most)):
            grown = size + more
            if count and grown > most_bytes:
                return count, size
            size = grown
        return most, size

    def _has_room(self, count: int, size_bytes: int) -> bool:
        """Return whether such a batch fits: whole ones only, so that what lags goes in large ones."""
        if not self._ahead:
            return True
        records, size = self._records_ahead + count, self._bytes_ahead + size_bytes
        fits = records <= _TRANSACTIONS_AHEAD * self._limits.max_records and size <= self._limits.max_buffered_bytes
        return fits and self._suspects.trials.is_proven(self.place)

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


def _size(record: Received) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.value or b"") + len(record.key or b"") + headers

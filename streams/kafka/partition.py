"""One partition number of a group: its batches are prepared ahead, and applied and committed one after the other."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from streams.kafka.bisect import Batch, prepare
from streams.kafka.records import Group, Outgoing, Place, Received
from streams.kafka.transactions import Outbox

_log = structlog.get_logger(__name__)
# So many in a row that no model can read are no longer the scenes' fault.
_CULPRITS_IN_A_ROW = 16


class HandlerError(Exception):
    """A handler that fails on everything: to bury it all would empty the topic."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Records in a transaction, records that wait before their partition is paused, seconds to restore: at most."""

    max_records: int
    max_buffered: int
    restore_seconds: float = 300.0


class PartitionRunner:
    """Takes the records of a partition number and sends what comes of them.

    While one batch is committed the next is prepared. An error after a row was touched, or while a batch is sent, goes
    to `fail`, which ends the process: memory may be ahead of the log.
    """

    def __init__(
        self,
        group: Group,
        number: int,
        outbox: Outbox,
        limits: Limits,
        on_room: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.group = group
        self.number = number
        self.outbox = outbox
        self.progressed_at_seconds = time.monotonic()
        self.committed = 0
        self.next_offsets: dict[Place, int] = {}
        self._limits = limits
        self._on_room = on_room
        self._fail = fail
        self._waiting: dict[Place, deque[Received]] = {Place(topic, number): deque() for topic in group.topics}
        self._turns = deque(self._waiting)
        self._arrived = asyncio.Event()
        self._ready: asyncio.Queue[Batch[Any]] = asyncio.Queue(1)
        self._busy = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._culprits_in_a_row = 0
        self._open_records = 0
        self._committed_offsets: dict[Place, int] = {}

    @property
    def open_records(self) -> int:
        """How many records have been taken and are not committed yet."""
        return self._open_records

    def is_full(self, place: Place) -> bool:
        """Return whether so many records of this topic wait that no more should be fetched."""
        return len(self._waiting[place]) >= self._limits.max_buffered

    def put(self, place: Place, records: Sequence[Received]) -> None:
        """Take records of a poll; those that were taken before (after a seek back) are left out."""
        known = self.next_offsets.get(place)
        new = records if known is None else [record for record in records if record.offset >= known]
        if not new:
            return
        if self._open_records == 0:
            self.progressed_at_seconds = time.monotonic()
        self.committed = 0
        self.next_offsets[place] = new[-1].offset + 1
        self._waiting[place].extend(new)
        self._open_records += len(new)
        self._arrived.set()

    def run(self) -> None:
        """Begin to work."""
        for work in (self._prepare_ahead(), self._commit_in_order()):
            task = asyncio.create_task(work, name=f"{self.group.name}-{self.number}")
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def pause(self) -> bool:
        """Finish the batch that is being committed and drop what waits; return whether rows are as they are in Kafka.

        Where they are, `run` may begin again, with the records behind the last committed ones.
        """
        async with self._busy:
            for task in self._tasks:
                task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        clean = all(isinstance(one, asyncio.CancelledError) for one in ended)
        self._tasks.clear()
        self._ready = asyncio.Queue(1)
        for waiting in self._waiting.values():
            waiting.clear()
        self._open_records = 0
        self.next_offsets = {**self._committed_offsets}
        if clean:
            await self.outbox.flush()
        return clean

    async def stop(self) -> None:
        """Finish the batch that is being committed, drop what waits, and let the outbox go.

        The outbox is stopped last: a transaction in flight would otherwise wait for it for ever.
        """
        await self.pause()
        await self.outbox.stop()

    async def abandon(self) -> None:
        """Drop everything at once: Kafka was away, and what became of the batch in flight is not known."""
        for task in self._tasks:
            task.remove_done_callback(self._ended)
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.outbox.stop()

    async def _prepare_ahead(self) -> None:
        while True:
            place, records = await self._take()
            await self._ready.put(await prepare(self.group.handler_of(place.topic), records))

    async def _take(self) -> tuple[Place, Sequence[Received]]:
        """Return the next records of one topic; topics take turns."""
        while True:
            for _ in range(len(self._turns)):
                self._turns.rotate(-1)
                waiting = self._waiting[self._turns[0]]
                if waiting:
                    was_full = self.is_full(self._turns[0])
                    count = min(len(waiting), self._limits.max_records)
                    records = [waiting.popleft() for _ in range(count)]
                    if was_full:
                        self._on_room()
                    return self._turns[0], records
            self._arrived.clear()
            await self._arrived.wait()

    async def _commit_in_order(self) -> None:
        while True:
            batch = await self._ready.get()
            async with self._busy:
                await self._commit(batch)

    async def _commit(self, batch: Batch[Any]) -> None:
        outputs = [batch.handler.bury(culprit.record, culprit.error) for culprit in batch.culprits]
        self._count_culprits(batch)
        outputs += batch.handler.apply(batch.records, batch.prepared)
        rows = self._changed_rows()
        records = [*batch.records, *(culprit.record for culprit in batch.culprits)]
        last = max(record.offset for record in records)
        offsets: Mapping[Place, int] = {Place(records[0].topic, self.number): last + 1}
        await self.outbox.send(outputs, rows, offsets)
        self._committed_offsets.update(offsets)
        self._open_records -= len(records)
        self.committed += len(records)
        self.progressed_at_seconds = time.monotonic()

    def _changed_rows(self) -> list[Outgoing]:
        rows = self.group.rows
        if rows is None:
            return []
        return [Outgoing(rows.changelog, *change, self.number) for change in rows.take_changes(self.number)]

    def _count_culprits(self, batch: Batch[Any]) -> None:
        for culprit in batch.culprits:
            # What it says may quote the record, and users' words are not for logs.
            record, error = culprit.record, type(culprit.error).__name__
            _log.error("poison", topic=record.topic, partition=self.number, offset=record.offset, error=error)
        self._culprits_in_a_row = 0 if batch.records else self._culprits_in_a_row + len(batch.culprits)
        if self._culprits_in_a_row >= _CULPRITS_IN_A_ROW:
            last = batch.culprits[-1]
            raise HandlerError(
                f"{last.record.topic}: the last {self._culprits_in_a_row} records could not be prepared and none in "
                f"between could, which is not the records' fault: {last.error!r}"
            ) from last.error

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

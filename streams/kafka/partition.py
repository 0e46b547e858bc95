"""One partition number of a group: its batches are prepared ahead, and applied and committed one after the other."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from schemas.topics import dead_topic
from streams.kafka.bisect import Batch, Culprit, prepare
from streams.kafka.dead_letters import counted
from streams.kafka.meter import UNMETERED, Meter
from streams.kafka.patience import is_unsendable
from streams.kafka.records import Group, Handler, HandlerError, Outgoing, Place, Received
from streams.kafka.suspects import TRIES, BatchError, Convicted, Suspects, alone
from streams.kafka.transactions import Outbox

_log = structlog.get_logger(__name__)
# So many in a row that no model can read are no longer the scenes' fault.
_CULPRITS_IN_A_ROW = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Records in a transaction at most, and records that wait at most before their partition is paused."""

    max_records: int
    max_buffered: int


class PartitionRunner:
    """Takes the records of a partition number and sends what comes of them.

    While one batch is committed the next is prepared. An error after a row was touched, or while a batch is sent, goes
    to `fail`, which ends the process: memory may be ahead of the log. Where the records may be to blame it is a
    BatchError, and whoever tries them next knows them as suspects.
    """

    def __init__(
        self,
        group: Group,
        number: int,
        outbox: Outbox,
        limits: Limits,
        suspects: Suspects,
        on_room: Callable[[], None],
        fail: Callable[[BaseException], None],
        meter: Meter = UNMETERED,
    ) -> None:
        self.group = group
        self.number = number
        self.outbox = outbox
        self.progressed_at_seconds = time.monotonic()
        self.committed = 0
        self.next_offsets: dict[Place, int] = {}
        # What this runner committed; nothing before its first batch.
        self.committed_offsets: dict[Place, int] = {}
        self._limits = limits
        self._suspects = suspects
        self._passed: list[Outgoing] = []
        self._on_room = on_room
        self._fail = fail
        self._meter = meter
        self._waiting: dict[Place, deque[Received]] = {Place(topic, number): deque() for topic in group.topics}
        self._turns = deque(self._waiting)
        self._arrived = asyncio.Event()
        self._ready: asyncio.Queue[Batch[Any]] = asyncio.Queue(1)
        self._busy = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._culprits_in_a_row = 0
        self._open_records = 0

    @property
    def name(self) -> str:
        """What logs and pages call it."""
        return f"{self.group.name}-{self.number}"

    @property
    def places(self) -> Iterable[Place]:
        """The partitions that it takes records of."""
        return self._waiting.keys()

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
        if known is None:
            self._passed += self._suspects.take_passed(place, new[0].offset)
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
            task = asyncio.create_task(work, name=self.name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Finish the batch that is being committed, drop what waits, and let the outbox go.

        The outbox is stopped last: a transaction in flight would otherwise wait for it for ever.
        """
        async with self._busy:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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
            await self._ready.put(await self._prepare(self.group.handler_of(place.topic), records))

    async def _prepare(self, handler: Handler[Any], records: Sequence[Received]) -> Batch[Any]:
        suspect = self._suspects.of(records[0])
        if suspect is None:
            return await prepare(handler, records)
        if suspect.tries >= TRIES:
            return Batch(handler, (), (), (Culprit(records[0], Convicted(suspect)),))
        token = alone.set(True)
        try:
            return await prepare(handler, records)
        finally:
            alone.reset(token)

    async def _take(self) -> tuple[Place, Sequence[Received]]:
        """Return the next records of one topic; topics take turns."""
        while True:
            for _ in range(len(self._turns)):
                self._turns.rotate(-1)
                waiting = self._waiting[self._turns[0]]
                if waiting:
                    was_full = self.is_full(self._turns[0])
                    most = min(len(waiting), self._limits.max_records)
                    count = self._suspects.before_next(self._turns[0], waiting, most)
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
        records = [*batch.records, *(culprit.record for culprit in batch.culprits)]
        last = max(record.offset for record in records)
        offsets: Mapping[Place, int] = {Place(records[0].topic, self.number): last + 1}
        try:
            outputs, rows = self._apply(batch)
        except HandlerError:
            raise
        except Exception as error:
            raise BatchError(batch.handler.stage, records, error) from error
        if len(records) == 1:
            outputs = self._clear(records[0], outputs)
        passed, self._passed = self._passed, []
        began = time.monotonic()
        try:
            await self.outbox.send([*outputs, *passed], rows, offsets)
        except Exception as error:
            if is_unsendable(error):
                raise BatchError(batch.handler.stage, records, error) from error
            raise
        self._meter.committed(records, [*outputs, *rows], time.monotonic() - began)
        self.committed_offsets.update(offsets)
        self._open_records -= len(records)
        self.committed += len(records)
        self.progressed_at_seconds = time.monotonic()

    def _apply(self, batch: Batch[Any]) -> tuple[list[Outgoing], list[Outgoing]]:
        outputs = [batch.handler.bury(culprit.record, culprit.error) for culprit in batch.culprits]
        self._count_culprits(batch)
        outputs += batch.handler.apply(batch.records, batch.prepared)
        return outputs, self._changed_rows()

    def _clear(self, record: Received, outputs: list[Outgoing]) -> list[Outgoing]:
        """Return the outputs of a record, with the end of its note and its tries counted where it was a suspect."""
        suspect, cleared = self._suspects.of(record), self._suspects.take(record)
        if suspect is None or cleared is None:
            return outputs
        # A suspect that is not tried again was tried once less than it is delivered.
        tries = suspect.tries - (suspect.tries >= TRIES)
        dead = dead_topic(record.topic)
        return [*(counted(one, tries) if one.topic == dead else one for one in outputs), cleared]

    def _changed_rows(self) -> list[Outgoing]:
        rows = self.group.rows
        if rows is None:
            return []
        return [Outgoing(rows.changelog, *change, self.number) for change in rows.take_changes()]

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

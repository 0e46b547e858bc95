"""One partition number of a group: each topic's batches are prepared ahead; what is ready is committed together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from schemas.topics import dead_topic
from streams.kafka.bisect import Batch, Culprit, prepare
from streams.kafka.culprits import CulpritsInARow
from streams.kafka.dead_letters import counted
from streams.kafka.meter import UNMETERED, Meter
from streams.kafka.patience import is_unsendable
from streams.kafka.records import Group, Handler, HandlerError, Outgoing, Place, Received
from streams.kafka.suspects import TRIES, BatchError, Convicted, Suspects
from streams.kafka.transactions import Outbox


class LogError(Exception):
    """A partition's log that was cut off or made anew under a live worker; the message says from where to where."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Records in a transaction, records that wait before their partition is paused, seconds to restore: at most."""

    max_records: int
    max_buffered: int
    restore_seconds: float = 300.0


class PartitionRunner:
    """Takes the records of a partition number and sends what comes of them.

    While batches are committed the next of each topic is prepared. What is ready when a commit begins goes into it, one
    batch of a topic at most, for a commit costs the same for few records as for many. An error after a row was touched,
    or while batches are sent, goes to `fail`, which ends the process: memory may be ahead of the log. Where the records
    may be to blame it is a BatchError, and whoever tries them next knows them as suspects.
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
        self._arrived = {place: asyncio.Event() for place in self._waiting}
        self._ready: dict[Place, Batch[Any]] = {}
        self._turns = deque(self._waiting)
        self._is_ready = asyncio.Event()
        self._was_taken = {place: asyncio.Event() for place in self._waiting}
        self._busy = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._culprits = CulpritsInARow(number)
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
        """Take records of a poll; raises LogError for those from before the next one.

        A partition goes on where it was, also after a seek. Only the consumer goes back by itself, to the beginning of
        a log that no longer has that offset: other records have the old ones' offsets now, and none may be left out.
        """
        if not records:
            return
        known, first = self.next_offsets.get(place), records[0].offset
        if known is None:
            self._passed += self._suspects.take_passed(place, first)
        elif first < known:
            raise LogError(
                f"{place.topic}-{place.partition} went back from offset {known} to {first}: "
                "its topic was made anew, or its log was cut off"
            )
        if self._open_records == 0:
            self.progressed_at_seconds = time.monotonic()
        self.next_offsets[place] = records[-1].offset + 1
        self._waiting[place].extend(records)
        self._open_records += len(records)
        self._arrived[place].set()

    def run(self) -> None:
        """Begin to work."""
        for work in (*(self._prepare_ahead(place) for place in self._waiting), self._commit_in_order()):
            task = asyncio.create_task(work, name=self.name)
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
        self._ready.clear()
        for waiting in self._waiting.values():
            waiting.clear()
        self._open_records = 0
        self.next_offsets = {**self.committed_offsets}
        if clean:
            await self.outbox.flush()
            await self._suspects.trials.withdraw(self.number)
        return clean

    async def stop(self) -> None:
        """Finish the batch that is being committed, drop what waits, and let the outbox go.

        The outbox is stopped last: a transaction in flight would otherwise wait for it for ever.
        """
        await self.pause()
        await self.outbox.stop()

    def halt(self) -> None:
        """Touch no row from now on: Kafka was away, and what became of the batch in flight is not known."""
        for task in self._tasks:
            task.remove_done_callback(self._ended)
            task.cancel()

    async def abandon(self) -> None:
        """Drop everything at once."""
        self.halt()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.outbox.stop()

    async def _prepare_ahead(self, place: Place) -> None:
        handler, was_taken = self.group.handler_of(place.topic), self._was_taken[place]
        while True:
            records = await self._take(place)
            async with self._suspects.trying(handler.stage, records) as committed:
                batch = await self._prepare(handler, records)
                while place in self._ready:
                    was_taken.clear()
                    await was_taken.wait()
                self._ready[place] = batch
                self._is_ready.set()
                if committed is not None:
                    await committed.wait()

    async def _prepare(self, handler: Handler[Any], records: Sequence[Received]) -> Batch[Any]:
        suspect = self._suspects.of(records[0])
        if suspect is not None and suspect.tries >= TRIES:
            return Batch(handler, (), (), (Culprit(records[0], Convicted(suspect)),))
        return await prepare(handler, records, suspect)

    async def _take(self, place: Place) -> Sequence[Received]:
        """Return the next records of a topic."""
        waiting = self._waiting[place]
        while not waiting:
            self._arrived[place].clear()
            await self._arrived[place].wait()
        was_full = self.is_full(place)
        most = self._suspects.trials.most(place, waiting[0], min(len(waiting), self._limits.max_records))
        count = self._suspects.before_next(place, waiting, most)
        records = [waiting.popleft() for _ in range(count)]
        if was_full:
            self._on_room()
        return records

    async def _commit_in_order(self) -> None:
        while True:
            while not self._ready:
                self._is_ready.clear()
                await self._is_ready.wait()
            async with self._busy:
                await self._commit(self._take_ready())

    def _take_ready(self) -> list[Batch[Any]]:
        """Return what is ready, as much as a transaction takes; topics take turns, and a suspect goes alone."""
        batches: list[Batch[Any]] = []
        count = 0
        self._turns.rotate(-1)
        for place in [place for place in self._turns if place in self._ready]:
            records = self._ready[place].all_records
            suspected = self._suspects.of(records[0]) is not None
            if batches and (suspected or count + len(records) > self._limits.max_records):
                continue
            batches.append(self._ready.pop(place))
            self._was_taken[place].set()
            count += len(records)
            if suspected:
                break
        return batches

    async def _commit(self, batches: Sequence[Batch[Any]]) -> None:
        offsets = {
            Place(batch.handler.topic, self.number): max(record.offset for record in batch.all_records) + 1
            for batch in batches
        }
        outputs = [self._outputs(batch) for batch in batches]
        rows = self._changed_rows()
        passed, self._passed = self._passed, []
        passed += self._suspects.trials.ending(offsets)
        began = time.monotonic()
        try:
            await self.outbox.send([*chain.from_iterable(outputs), *passed], rows, offsets)
        except Exception as error:
            if not is_unsendable(error):
                raise
            first, *others = [BatchError(batch.handler.stage, batch.all_records, error) for batch in batches]
            for other in others:
                self._fail(other)
            raise first from error
        seconds = time.monotonic() - began
        self.committed_offsets.update(offsets)
        self._suspects.trials.ended(offsets)
        outputs[0] += rows
        for batch, sent in zip(batches, outputs, strict=True):
            records = batch.all_records
            self._meter.committed(records, sent, seconds)
            self._open_records -= len(records)
        self.progressed_at_seconds = time.monotonic()

    def _outputs(self, batch: Batch[Any]) -> list[Outgoing]:
        records = batch.all_records
        try:
            outputs = [batch.handler.bury(culprit.record, culprit.error) for culprit in batch.culprits]
            self._culprits.count(batch)
            outputs += batch.handler.apply(batch.records, batch.prepared)
        except HandlerError:
            raise
        except Exception as error:
            raise BatchError(batch.handler.stage, records, error) from error
        return self._clear(records[0], outputs) if len(records) == 1 else outputs

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
        return [Outgoing(rows.changelog, *change, self.number) for change in rows.take_changes(self.number)]

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

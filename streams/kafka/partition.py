"""One partition number of a group: each topic is prepared ahead; what is ready is committed together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from schemas.topics import dead_topic
from streams.kafka.bisect import Batch
from streams.kafka.culprits import CulpritsInARow
from streams.kafka.dead_letters import counted
from streams.kafka.line import Limits, Line
from streams.kafka.meter import UNMETERED, Meter
from streams.kafka.patience import is_unsendable
from streams.kafka.records import Group, HandlerError, Outgoing, Place, Received
from streams.kafka.suspects import TRIES, BatchError, Suspects
from streams.kafka.transactions import Outbox


class LogError(Exception):
    """A partition's log that was cut off or made anew under a live worker; the message says from where to where."""


class PartitionRunner:
    """Takes the records of a partition number and sends what comes of them.

    While batches are committed the next of each topic are prepared. What is ready when a commit begins goes into it,
    for a commit costs the same for few records as for many. An error after a row was touched, or while batches are
    sent, goes to `fail`, which ends the process: memory may be ahead of the log. Where the records may be to blame it
    is a BatchError, and whoever tries them next knows them as suspects.
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
        self._max_records = limits.max_records
        self._suspects = suspects
        self._passed: list[Outgoing] = []
        self._fail = fail
        self._meter = meter
        places = {Place(handler.topic, number): handler for handler in group.handlers}
        self._is_ready = asyncio.Event()
        self._lines = {
            place: Line(place, handler, limits, suspects, self._is_ready.set, on_room, self._failed)
            for place, handler in places.items()
        }
        self._turns = deque(self._lines.values())
        self._order = {handler: number for number, handler in enumerate(group.handlers)}
        self._busy = asyncio.Lock()
        self._committing: asyncio.Task[None] | None = None
        self._halted = False
        self._leaving: list[asyncio.Task[Any]] = []
        self._culprits = CulpritsInARow(number)
        self._open_records = 0

    @property
    def name(self) -> str:
        """What logs and pages call it."""
        return f"{self.group.name}-{self.number}"

    @property
    def places(self) -> Iterable[Place]:
        """The partitions that it takes records of."""
        return self._lines.keys()

    @property
    def open_records(self) -> int:
        """How many records have been taken and are not committed yet."""
        return self._open_records

    def is_full(self, place: Place) -> bool:
        """Return whether so many records of this topic wait that no more should be fetched."""
        return self._lines[place].is_full

    def is_open(self, place: Place) -> bool:
        """Return whether records of this topic have been taken and are not committed yet."""
        taken, committed = self.next_offsets.get(place), self.committed_offsets.get(place)
        return taken is not None and (committed is None or committed < taken)

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
        self._open_records += len(records)
        self._lines[place].put(records)

    def run(self) -> None:
        """Begin to work."""
        self._committing = asyncio.create_task(self._commit_in_order(), name=self.name)
        self._committing.add_done_callback(self._ended)
        for line in self._lines.values():
            line.begin()

    async def pause(self) -> bool:
        """Finish the batch that is being committed and drop what waits; return whether rows are as they are in Kafka.

        Where they are, `run` may begin again, with the records behind the last committed ones.
        """
        async with self._busy:
            leaving = self._drop()
        ended = await asyncio.gather(*leaving, return_exceptions=True)
        clean = not any(isinstance(one, Exception) for one in ended)
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
        self._halted = True
        self._leaving += self._drop()

    async def abandon(self) -> None:
        """Drop everything at once."""
        self.halt()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self.outbox.stop()

    def _drop(self) -> list[asyncio.Task[Any]]:
        """Forget all records; return what was under way, cancelled."""
        tasks: list[asyncio.Task[Any]] = [task for line in self._turns for task in line.drop()]
        committing, self._committing = self._committing, None
        if committing is not None:
            committing.cancel()
            tasks.append(committing)
        self._open_records = 0
        return tasks

    async def _commit_in_order(self) -> None:
        while True:
            while not any(line.ready for line in self._turns):
                self._is_ready.clear()
                await self._is_ready.wait()
            async with self._busy:
                await self._commit(self._take_ready())

    def _take_ready(self) -> list[Batch[Any]]:
        """Return what is ready, as much as a transaction takes, in the order in which the group has its topics.

        Topics take turns, and a suspect goes alone. The order is that in which a batch that was lost comes again.
        """
        taken: list[Batch[Any]] = []
        room = self._max_records
        self._turns.rotate(-1)
        for line in [line for line in self._turns if line.ready]:
            suspected = line.suspected
            if taken and (suspected or line.ready > room):
                continue
            taken.append(line.take(room))
            room -= len(taken[-1].all_records)
            if suspected:
                break
        return sorted(taken, key=lambda batch: self._order[batch.handler])

    async def _commit(self, batches: Sequence[Batch[Any]]) -> None:
        offsets = {
            Place(batch.handler.topic, self.number): max(record.offset for record in batch.all_records) + 1
            for batch in batches
        }
        # A suspect is committed alone. What was known of it counts where it fails again, and its note is ended below.
        suspect = self._suspects.of(batches[0].all_records[0])
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
            first, *others = [BatchError(batch.handler.stage, batch.all_records, error, suspect) for batch in batches]
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
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        if not self._halted:
            self._fail(error)

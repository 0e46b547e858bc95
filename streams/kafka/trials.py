"""Trials: what is noted before it is tried, for a process may die of it and can note nothing any more.

A segfault or the lack of memory leaves no last words. So whoever begins a partition notes of each topic how far its
first batches go, before models are asked about them, and the transaction that commits them clears the note. Later
batches are not noted and cost nothing: who dies of one of these has a successor, who dies of the same in its first
batch. A note that is found at a beginning was left by a process that did not survive it. What it spans is tried record
by record, with nothing else in this process at the same time, each noted as a suspect before. And before the first of
these something harmless is tried, without a note: whoever dies of that would die of any record.

Only a death may count: whoever lives takes its notes back before it begins anew, gives up, or ends for another reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from pydantic import ValidationError

from schemas.dead import DeadReason
from schemas.suspect import Begun, Suspect
from streams.kafka.gate import Gate
from streams.kafka.numbers import number_in
from streams.kafka.records import Outgoing, Place, Received

Write = Callable[[Sequence[Outgoing]], Awaitable[None]]
Rehearse = Callable[[], Awaitable[None]]
_log = structlog.get_logger(__name__)
_WITHDRAWN_WITHIN_SECONDS = 3.0
_DIED = "the process that tried it alone was gone before it could say why"


@dataclass(slots=True)
class _Attempt:
    """A record that is tried alone: its note, what was noted of it before, and when it is committed."""

    note: Suspect
    before: Suspect | None
    committed: asyncio.Event


class Trials:
    """What is noted ahead of a worker's partitions, and what former owners left; without `write` nothing is."""

    def __init__(
        self,
        topic: str,
        worker: str,
        write: Write | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rehearse: Rehearse | None = None,
    ) -> None:
        self._topic = topic
        self._worker = worker
        self._write = write
        self._now = now
        # Until it was done once.
        self._rehearse = rehearse
        self._gate = Gate()
        # The last offset of what a former owner did not survive.
        self._left: dict[Place, int] = {}
        # The last offset of our own first batches, as noted.
        self._begun: dict[Place, int] = {}
        self._attempts: dict[Place, _Attempt] = {}
        # What we have committed something of, so that it is noted no more.
        self._proven: set[Place] = set()
        # By partition number: what takes back what we noted and did not commit, and survived.
        self._owed: dict[int, list[Outgoing]] = {}

    def drop(self, number: int) -> None:
        """Forget a partition number: it begins anew, or is somebody else's. What we noted of it is owed back."""
        owed = self.withdrawn(number)
        if owed:
            self._owed[number] = owed
        # A copy, for others are restored meanwhile, in a thread.
        for place in [place for place in [*self._left] if place.partition == number]:
            del self._left[place]
        self._proven = {place for place in self._proven if place.partition != number}

    def restore(self, key: bytes, value: bytes | None) -> bool:
        """Take a note back from the topic; return whether it was one of a beginning."""
        topic, *digits = key.decode("utf-8", "replace").split(":")
        match [number_in(one) for one in digits]:
            case [int(partition)]:
                place = Place(topic, partition)
            case _:
                return False
        self._left.pop(place, None)
        if value is not None:
            try:
                self._left[place] = Begun.model_validate_json(value).last_offset
            except ValidationError:
                # Of a later version, or nobody's: then nothing is known.
                return False
        return True

    def most(self, place: Place, first: Received, most: int) -> int:
        """Return how many of the waiting records go together: those that a process did not survive go one by one."""
        return 1 if first.offset <= self._left.get(place, -1) else most

    def is_proven(self, place: Place) -> bool:
        """Return whether batches are not noted any more."""
        return self._write is None or place in self._proven

    @asynccontextmanager
    async def trying(
        self, stage: str, records: Sequence[Received], suspect: Suspect | None
    ) -> AsyncIterator[asyncio.Event | None]:
        """Note what has to be noted of a batch, and let it be tried within the block.

        Yields None, or what is set when the record is committed: nothing else is tried before.
        """
        place = Place(records[0].topic, records[0].partition)
        if self._write is None:
            yield None
        elif self._is_feared(place, records[0], suspect):
            async with self._gate.alone():
                await self._rehearsed(place)
                attempt = self._attempts[place] = self._attempt(stage, records[0], suspect)
                await self._write([self._noted(attempt.note)])
                yield attempt.committed
        else:
            async with self._gate.together():
                if not self.is_proven(place):
                    self._begun[place] = records[-1].offset
                    await self._write([self._noted(self._beginning(place, records))])
                yield None

    async def _rehearsed(self, place: Place) -> None:
        rehearse = self._rehearse
        if rehearse is None:
            return
        _log.warning("not_survived", topic=place.topic, partition=place.partition, hint="now tried one by one")
        await rehearse()
        self._rehearse = None

    def ending(self, offsets: Mapping[Place, int]) -> list[Outgoing]:
        """Return what a commit of these offsets clears."""
        return [note for place, next_offset in offsets.items() for note in self._ending(place, next_offset)]

    def ended(self, offsets: Mapping[Place, int]) -> None:
        """Take note of a commit."""
        for place, next_offset in offsets.items():
            attempt = self._attempts.get(place)
            if attempt is not None and attempt.note.offset < next_offset:
                del self._attempts[place]
                attempt.committed.set()
            if place not in self._left:
                self._proven.add(place)
            for kept in (self._left, self._begun):
                if next_offset > kept.get(place, next_offset):
                    del kept[place]

    @property
    def stand(self) -> bool:
        """Whether notes of ours stand, which only a death should leave."""
        return bool(self._begun or self._attempts or self._owed)

    async def withdraw(self, number: int | None = None) -> None:
        """Take back what we noted ahead of a partition number, or of all: we live. TimeoutError: it is still owed."""
        numbers = self._numbers() if number is None else {number}
        owed = {one: notes for one in numbers if (notes := self.withdrawn(one))}
        if owed and self._write is not None:
            self._owed |= owed
            async with asyncio.timeout(_WITHDRAWN_WITHIN_SECONDS):
                await self._write([note for notes in owed.values() for note in notes])
            for one in owed:
                self._owed.pop(one, None)

    def withdrawn(self, number: int | None = None) -> list[Outgoing]:
        """Forget what is noted ahead, of a partition number or of all, and return what takes it back."""
        numbers = self._numbers() if number is None else {number}
        notes = [note for one in numbers for note in self._owed.pop(one, ())]
        for place in [place for place in self._begun if place.partition in numbers]:
            del self._begun[place]
            notes.append(Outgoing(self._topic, _key_of(place), None, (), place.partition))
        for place in [place for place in self._attempts if place.partition in numbers]:
            attempt = self._attempts.pop(place)
            notes.append(self._cleared(attempt.note) if attempt.before is None else self._noted(attempt.before))
        return notes

    def _numbers(self) -> set[int]:
        return {place.partition for place in (*self._begun, *self._attempts)} | self._owed.keys()

    def _ending(self, place: Place, next_offset: int) -> list[Outgoing]:
        attempt = self._attempts.get(place)
        # What comes right before it may be committed while it is tried.
        tried = attempt if attempt is not None and attempt.note.offset < next_offset else None
        attempts = [] if tried is None else [self._cleared(tried.note)]
        spans = [kept[place] for kept in (self._left, self._begun) if place in kept]
        over = bool(spans) and next_offset > max(spans)
        return [*attempts, Outgoing(self._topic, _key_of(place), None, (), place.partition)] if over else attempts

    def _is_feared(self, place: Place, record: Received, suspect: Suspect | None) -> bool:
        died = suspect is not None and suspect.exception == DeadReason.DIED.value
        return died or record.offset <= self._left.get(place, -1)

    def _attempt(self, stage: str, record: Received, before: Suspect | None) -> _Attempt:
        now = self._now()
        note = Suspect(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            # It died in company before.
            tries=2 if before is None else before.tries + 1,
            stage=stage,
            exception=DeadReason.DIED.value,
            message=_DIED,
            worker=self._worker,
            first_at=now if before is None else before.first_at,
            last_at=now,
        )
        return _Attempt(note, before, asyncio.Event())

    def _beginning(self, place: Place, records: Sequence[Received]) -> Begun:
        return Begun(
            topic=place.topic,
            partition=place.partition,
            first_offset=records[0].offset,
            last_offset=records[-1].offset,
            worker=self._worker,
            at=self._now(),
        )

    def _noted(self, note: Suspect | Begun) -> Outgoing:
        return Outgoing(self._topic, note.key.encode(), note.model_dump_json().encode(), (), note.partition)

    def _cleared(self, note: Suspect) -> Outgoing:
        return Outgoing(self._topic, note.key.encode(), None, (), note.partition)


def _key_of(place: Place) -> bytes:
    return f"{place.topic}:{place.partition}".encode()

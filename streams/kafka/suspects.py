"""Suspects: what a worker failed on, noted for whoever has the partition next, who tries each of them alone.

A process whose models hang, or whose rows were touched when a stage raised, has to end; what it was busy with is noted
before, outside of any transaction, for no transaction of it will be committed. The note is not the offset: a message
that was committed all the same (a zombie's note, or one that came too late) is never read again, and its note is taken
away. What passes is cleared in the transaction that commits it, and what failed for the third time is not tried again:
it becomes a dead letter, together with the end of its note. What a process that dies hard would note: see `trials`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from pydantic import ValidationError

from schemas.dead import DeadReason
from schemas.suspect import Suspect
from streams.kafka.numbers import number_in
from streams.kafka.records import Outgoing, Place, Received
from streams.kafka.trials import Rehearse, Trials, Write

_log = structlog.get_logger(__name__)
# What failed so often is not tried again. The first time it failed in company: only the others are proof.
TRIES = 3
_MAX_MESSAGE = 1000


class Hung(Exception):  # noqa: N818 - what happened, not that it is an error
    """What a handler asked was not answered in time, and never may be: the process has to end."""


class BatchError(Exception):
    """What a batch failed on so that the process has to end; its records are suspects, perhaps again."""

    def __init__(
        self, stage: str, records: Sequence[Received], cause: Exception, suspect: Suspect | None = None
    ) -> None:
        super().__init__(f"{stage}: {cause!r}")
        self.stage = stage
        self.records = records
        self.cause = cause
        self.suspect = suspect


@dataclass(frozen=True, slots=True)
class Asking:
    """For which records a handler asks, and what was noted of them: a suspect must not share a call with others.

    It says for whom a call was that hangs, also where a rebalance took the partition and nobody waits any more.
    """

    stage: str
    records: Sequence[Received]
    suspect: Suspect | None = None

    def failed(self, cause: Exception) -> BatchError:
        """Return the error to be noted."""
        return BatchError(self.stage, self.records, cause, self.suspect)


asking: ContextVar[Asking | None] = ContextVar("asking", default=None)


class Convicted(Exception):  # noqa: N818 - what it is, not that it is an error
    """A suspect that is not tried again."""

    def __init__(self, suspect: Suspect) -> None:
        super().__init__(f"failed {suspect.tries} times, at last alone: {suspect.message}")
        self.suspect = suspect


class Suspects:
    """The suspects of the partitions that are owned, as whoever had them before noted them."""

    def __init__(
        self,
        topic: str,
        worker: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        write: Write | None = None,
        rehearse: Rehearse | None = None,
    ) -> None:
        self.topic = topic
        self.trials = Trials(topic, worker, write, now, rehearse)
        self._worker = worker
        self._now = now
        self._noted: dict[Place, dict[int, Suspect]] = {}

    def drop(self, number: int) -> None:
        """Forget what is noted of a partition number."""
        self.trials.drop(number)
        # A copy, for others are restored meanwhile, in a thread.
        for place in [place for place in [*self._noted] if place.partition == number]:
            del self._noted[place]

    def restore(self, number: int, records: Sequence[Received]) -> None:
        """Take notes back from the topic, in their order; a note without a value was cleared."""
        del number
        for record in records:
            if record.key is not None and not self.trials.restore(record.key, record.value):
                self._restore(record.key, record.value)

    def of(self, record: Received) -> Suspect | None:
        """Return what is noted of a message."""
        return self._noted.get(Place(record.topic, record.partition), {}).get(record.offset)

    def before_next(self, place: Place, records: Iterable[Received], most: int) -> int:
        """Return how many of the waiting records, `most` at most, go together: a suspect goes alone."""
        noted = self._noted.get(place)
        if not noted:
            return most
        for count, record in enumerate(records):
            if count == most:
                break
            if record.offset in noted:
                return max(1, count)
        return most

    def take_passed(self, place: Place, first_offset: int) -> list[Outgoing]:
        """Forget and clear what was committed after all: notes from before the first message that is read."""
        noted = self._noted.get(place, {})
        passed = [noted.pop(offset) for offset in sorted(noted) if offset < first_offset]
        return [self._cleared(suspect) for suspect in passed]

    def take(self, record: Received) -> Outgoing | None:
        """Forget a message and return what clears its note; None where there is none."""
        suspect = self._noted.get(Place(record.topic, record.partition), {}).pop(record.offset, None)
        return None if suspect is None else self._cleared(suspect)

    def trying(self, stage: str, records: Sequence[Received]) -> AbstractAsyncContextManager[asyncio.Event | None]:
        """Return what a batch is tried within, see Trials; nothing is tried of what is not tried again."""
        suspect = self.of(records[0])
        if suspect is not None and suspect.tries >= TRIES:
            return nullcontext()
        return self.trials.trying(stage, records, suspect)

    def note(self, error: BatchError) -> list[Outgoing]:
        """Return the notes on the records of a batch that failed, each counted."""
        return [self._noted_once_more(record, error) for record in error.records]

    def _noted_once_more(self, record: Received, error: BatchError) -> Outgoing:
        # What was known when it was tried, for the partition may be somebody else's by now.
        before, now = error.suspect or self.of(record), self._now()
        hung = isinstance(error.cause, Hung)
        suspect = Suspect(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            tries=1 if before is None else before.tries + 1,
            stage=error.stage,
            exception=DeadReason.HUNG.value if hung else type(error.cause).__name__,
            message=str(error.cause)[:_MAX_MESSAGE].encode("utf-8", "replace").decode(),
            worker=self._worker,
            first_at=now if before is None else before.first_at,
            last_at=now,
        )
        return Outgoing(self.topic, suspect.key.encode(), suspect.model_dump_json().encode(), (), record.partition)

    def _restore(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            topic, *digits = key.decode("utf-8", "replace").rsplit(":", 2)
            match [number_in(one) for one in digits]:
                case [int(partition), int(offset)]:
                    self._noted.get(Place(topic, partition), {}).pop(offset, None)
            return
        try:
            suspect = Suspect.model_validate_json(value)
        except ValidationError:
            # Of a later version, or nobody's: the message is then tried like any other.
            _log.warning("suspect_unreadable", key=key.decode("utf-8", "replace")[:200])
            return
        self._noted.setdefault(Place(suspect.topic, suspect.partition), {})[suspect.offset] = suspect

    def _cleared(self, suspect: Suspect) -> Outgoing:
        return Outgoing(self.topic, suspect.key.encode(), None, (), suspect.partition)

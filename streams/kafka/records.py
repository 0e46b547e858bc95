"""Records as they come from Kafka and as they go to it, and what is made of them in between."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

# Any client may send a header without a value.
Headers = tuple[tuple[str, bytes | None], ...]
Prepared = TypeVar("Prepared")


class Place(NamedTuple):
    """A partition of a topic; equal to aiokafka's and Faust's own tuples."""

    topic: str
    partition: int


class Received(Protocol):
    """A record as aiokafka gives it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be sent; without a partition its key decides, as in any Kafka client."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


class HandlerError(Exception):
    """What is not the records' fault: the process ends, and nothing is put aside for it."""


class Handler(ABC, Generic[Prepared]):
    """What is done with the records of one topic, in two steps.

    `prepare` may take its time, runs ahead of the batches before it, and touches nothing: when it raises, the batch is
    bisected until the record is found that costs it. `apply` touches rows and is called in the order of the partition,
    once for each record: when it raises, memory is not to be trusted, the records are noted as suspects and the process
    ends. What raises HandlerError ends it without a note.
    """

    topic: str
    stage: str

    @abstractmethod
    async def prepare(self, records: Sequence[Received]) -> Sequence[Prepared]:
        """Return what is to be applied, one for each record."""

    @abstractmethod
    def apply(self, records: Sequence[Received], prepared: Sequence[Prepared]) -> Iterable[Outgoing]:
        """Change the rows and return what is to be sent."""

    @abstractmethod
    def bury(self, record: Received, error: Exception) -> Outgoing:
        """Return the dead letter for a record that `prepare` cannot stand."""


class Restored(Protocol):
    """What is kept of a topic's partitions and restored from there."""

    def drop(self, number: int) -> None:
        """Forget what is kept of a partition number."""

    def restore(self, number: int, records: Sequence[Received]) -> None:
        """Take records of a partition number back, in their order; called beside the event loop, in a thread."""


class Rows(Restored, Protocol):
    """Rows that a group changes; their changelog topic has the group's number of partitions."""

    changelog: str

    def take_changes(self, number: int) -> Sequence[tuple[bytes, bytes | None, Headers]]:
        """Return the rows of a partition number that were changed since the last call: key, value, headers."""


@dataclass(frozen=True, slots=True)
class Group:
    """Topics with the same number of partitions whose partitions of one number are handled one batch after the other.

    What touches the same rows belongs to one group, so that one open transaction at a time holds a partition's rows.
    """

    name: str
    handlers: tuple[Handler[Any], ...]
    rows: Rows | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that the group reads."""
        return tuple(handler.topic for handler in self.handlers)

    def handler_of(self, topic: str) -> Handler[Any]:
        """Return what handles records of `topic`."""
        return next(handler for handler in self.handlers if handler.topic == topic)

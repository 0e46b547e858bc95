"""What Kafka said when it was looked at, before anything is made of it: offsets, members, records, retention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

Clock = Literal["CreateTime", "LogAppendTime"]


class Slot(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Point(NamedTuple):
    """A place in a partition from which a group goes on."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Ends:
    """First and next offset; `latest` is as far as may be read, `high` as far as was written."""

    earliest: int
    latest: int
    high: int


class Gone(str):
    """Why a partition's ends cannot be had: it is not there, so what was known of it is no history any more."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Member:
    """Who reads for a group, and from where."""

    name: str
    client: str
    host: str


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """A group as its coordinator knows it; `at` is when its offsets were read, in seconds of a monotonic clock."""

    name: str
    state: str
    protocol: str
    at: float
    members: tuple[Member, ...] = ()
    owners: Mapping[Slot, Member] = field(default_factory=dict)
    committed: Mapping[Slot, int] = field(default_factory=dict)
    error: str | None = None

    @property
    def slots(self) -> list[Slot]:
        """What it has committed or reads now."""
        return sorted({*self.committed, *self.owners})


@dataclass(frozen=True, slots=True)
class Retention:
    """What a topic says about how long its records stay; milliseconds and bytes, -1 is without end."""

    policy: str
    milliseconds: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Oldest:
    """What a fetch from an offset found: the first record that can be read, or none; before `end` there is no other.

    `timestamp_ms` is None where the record has none, `clock` says whose it is. With an `error` nothing is known.
    """

    at: datetime
    end: int
    offset: int | None = None
    timestamp_ms: int | None = None
    clock: Clock | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One look; `ends_at` is when the ends were read, after all committed offsets.

    Where a partition's ends or a topic's retention could not be had, the words say why; they are Gone where it is.
    """

    cluster: str
    at: datetime
    ends_at: float
    took_seconds: float
    groups: tuple[FoundGroup, ...]
    ends: Mapping[Slot, Ends | str]
    oldest: Mapping[Point, Oldest]
    retention: Mapping[str, Retention | str]
    # Topics that are read without commits, from the beginning and by position: changelogs of tables.
    changelogs: frozenset[str] = frozenset()


def start_of(slot: Slot, committed: int, ends: Ends) -> Point:
    """Return from where a group goes on: what was deleted before it came cannot be read."""
    return Point(slot.topic, slot.partition, max(committed, ends.earliest))

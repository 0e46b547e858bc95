"""What a look at the cluster found: the one value that the terminal, /metrics and the dashboard are made from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from schemas.base import Frozen

# After Burrow: keeping up, falling behind, nobody commits any more, stopped in the middle, went back.
Health = Literal["OK", "WARN", "STOP", "STALL", "REWIND", "UNKNOWN"]
# Worst first: what a group or a page is judged by.
WORST_FIRST: tuple[Health, ...] = ("STOP", "STALL", "REWIND", "WARN", "UNKNOWN", "OK")
Certainty = Literal["exact", "upper bound"]


class Verdict(Frozen):
    """How a partition or a group is doing, and in words what says so."""

    health: Health
    evidence: str


class PartitionLag(Frozen):
    """A partition as one group has read it; None is unknown and never 0."""

    topic: str
    partition: int
    committed: int | None
    earliest: int | None
    latest: int | None
    lag: int | None
    certainty: Certainty
    # Age of the oldest unprocessed record, when it was measured, and how; 0 where nothing waits.
    age_seconds: float | None
    age_at: datetime | None
    age_method: str
    rate_in: float | None
    rate_out: float | None
    # None is unknown; infinity is never, at these rates.
    catch_up_seconds: float | None
    # Until the oldest unread record is deleted, and how many unread ones already were.
    horizon_seconds: float | None
    lost: int
    member: str | None
    host: str | None
    verdict: Verdict


class GroupLag(Frozen):
    """A consumer group: the sum of what waits, and the worst of its partitions."""

    group: str
    state: str
    protocol: str
    members: int
    lag: int | None
    certainty: Certainty
    age_seconds: float | None
    rate_in: float | None
    rate_out: float | None
    catch_up_seconds: float | None
    verdict: Verdict
    partitions: tuple[PartitionLag, ...]
    # What could not be looked at, and why; such a group has no partitions.
    error: str | None = None


class TopicEnds(Frozen):
    """First and next offset of each partition of a topic."""

    topic: str
    earliest: Mapping[int, int]
    latest: Mapping[int, int]


class Snapshot(Frozen):
    """One look at the cluster; after a failed look the last one stands, with its `error` and its own `at`."""

    cluster: str
    at: datetime
    took_seconds: float
    groups: tuple[GroupLag, ...]
    topics: tuple[TopicEnds, ...]
    looks: int
    failures: int
    error: str | None = None

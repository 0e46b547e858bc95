"""What a look at the cluster found: the one value that the terminal, /metrics and the dashboard are made from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from schemas.base import Frozen

# After Burrow: keeping up, falling behind, nobody commits any more, stopped in the middle, went back.
Health = Literal["OK", "WARN", "STOP", "STALL", "REWIND", "UNKNOWN"]
# Worst first: what a group or a page is judged by.
WORST_FIRST: tuple[Health, ...] = ("STOP", "STALL", "REWIND", "WARN", "UNKNOWN", "OK")
Certainty = Literal["exact", "upper bound"]


class Seen(Frozen):
    """A value that was seen; infinity is a finding here (never, at these rates), and "Infinity" in JSON."""

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="strings")


class Verdict(Seen):
    """How a partition or a group is doing, and in words what says so."""

    health: Health
    evidence: str


class PartitionLag(Seen):
    """A partition as one group has read it; None is unknown and never 0.

    `lag` is latest - committed, as kafka-consumer-groups has it, but for what can no longer or never be read at its end
    (markers of transactions): where a fetch found nothing to read it is `lost` alone. Those lost are part of it.
    """

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
    # Until the oldest unread record may be deleted (infinity is never), how that is known or why not, and how many
    # unread ones already were deleted.
    horizon_seconds: float | None
    lost: int
    member: str | None
    host: str | None
    verdict: Verdict
    client: str | None = None
    horizon_method: str = ""
    # Records of transactions still open: between what committed readers may read and the end of the log.
    open_records: int = 0
    # Where its leader does not answer: what the lag was when it last did, and when.
    last_lag: int | None = None
    last_at: datetime | None = None


class GroupLag(Seen):
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
    # Partitions whose lag is not known and so not in the sum, where there may be something to read.
    unknown: int = 0
    lost: int = 0
    # The least of the partitions'.
    horizon_seconds: float | None = None


class TopicEnds(Seen):
    """First and next offset of each partition of a topic."""

    topic: str
    earliest: Mapping[int, int]
    latest: Mapping[int, int]


class Snapshot(Seen):
    """One look at the cluster; after a failed look the last one stands, with its `error` and its own `at`.

    `clock_seconds` is when by a clock that nobody sets: what looks are ordered by, and how long ago this one was.
    """

    cluster: str
    at: datetime
    clock_seconds: float
    took_seconds: float
    groups: tuple[GroupLag, ...]
    topics: tuple[TopicEnds, ...]
    looks: int
    failures: int
    error: str | None = None

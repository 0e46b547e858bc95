"""What is measured of one partition: age, rates, time to catch up, time until deletion; pure, and None is unknown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from streams.ops.lag.found import Ends, Oldest, Retention
from streams.ops.lag.rules import Look
from streams.ops.words import duration

# Clocks of one network agree to less than this; beyond, a record from the future is told and not made young.
_SKEW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Age:
    """The oldest unread record's age in seconds, the record's time in milliseconds, and how that is known."""

    method: str
    seconds: float | None = None
    timestamp_ms: int | None = None


def reads_nothing(oldest: Oldest | None, ends: Ends) -> bool:
    """Return whether a fetch proved that up to the end, as it was read, there is nothing but markers and gaps."""
    return oldest is not None and oldest.error is None and oldest.end >= ends.latest


def rates(seen: Sequence[Look], seconds: float) -> tuple[float | None, float | None]:
    """Return offsets a second that came and that were committed, between the looks of the last `seconds`."""
    last = seen[-1]
    first = next((one for one in seen if one.at >= last.at - seconds), last)
    if first.at >= last.at or first.ends_at >= last.ends_at:
        return None, None
    came = (last.latest - first.latest) / (last.ends_at - first.ends_at)
    # A step back is no rate of work.
    left = (last.committed - first.committed) / (last.at - first.at) if last.committed >= first.committed else None
    return came, left


def catch_up(unread: int, rate_in: float | None, rate_out: float | None) -> float | None:
    """Return seconds until nothing waits, at these rates; infinity is never."""
    if unread == 0:
        return 0.0
    if rate_in is None or rate_out is None:
        return None
    return unread / (rate_out - rate_in) if rate_out > rate_in else math.inf


def age(now: datetime, unread: int, oldest: Oldest | None) -> Age:
    """Return how old the oldest unread record is: never guessed from rates, and unknown where its time is."""
    if unread == 0:
        return Age("nothing waits", seconds=0.0)
    if oldest is None:
        return Age("not fetched yet: the time for a look was over")
    if oldest.error is not None:
        return Age(f"not known: {oldest.error}")
    if oldest.timestamp_ms is None:
        return Age("not known: the record has no timestamp")
    seconds = now.timestamp() - oldest.timestamp_ms / 1000
    if seconds < -_SKEW_SECONDS:
        return Age(f"not known: the record's {oldest.clock} is {duration(-seconds)} ahead of the clock here")
    return Age(f"{oldest.clock} of the record at offset {oldest.offset}", max(0.0, seconds), oldest.timestamp_ms)


def horizon(now: datetime, retention: Retention | str, unread: int, oldest: Age) -> tuple[float | None, str]:
    """Return seconds until the oldest unread record may be deleted: not before, for Kafka deletes whole segments."""
    if isinstance(retention, str):
        return None, f"not known: {retention}"
    if "delete" not in retention.policy:
        return None, "compacted: the latest of each key stays, older ones may go at any time"
    if retention.bytes >= 0:
        return None, "not known: the topic is kept to a size (retention.bytes)"
    if retention.milliseconds < 0:
        return math.inf, "kept for ever (retention.ms=-1)"
    if unread == 0 or oldest.timestamp_ms is None:
        return None, "nothing waits" if unread == 0 else "not known: the oldest record's time is not known"
    left = (oldest.timestamp_ms + retention.milliseconds) / 1000 - now.timestamp()
    return max(0.0, left), f"retention.ms={retention.milliseconds}; not before, whole segments go"

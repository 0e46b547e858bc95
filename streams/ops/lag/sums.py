"""What partitions add up to: groups and topics; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from streams.ops.lag.found import Ends, FoundGroup, Slot
from streams.ops.lag.rules import worst
from streams.ops.lag.snapshot import GroupLag, PartitionLag, TopicEnds, Verdict


def summed(group: FoundGroup, partitions: Sequence[PartitionLag]) -> GroupLag:
    """Return a group: what is known added up, and the worst of its partitions for the rest."""
    lags = [one.lag for one in partitions if one.lag is not None]
    exact = all(one.certainty == "exact" for one in partitions if one.lag is not None)
    horizons = [one.horizon_seconds for one in partitions if one.horizon_seconds is not None]
    return GroupLag(
        group=group.name,
        state=group.state,
        protocol=group.protocol,
        members=len(group.members),
        lag=sum(lags) if lags else None,
        certainty="exact" if exact else "upper bound",
        age_seconds=_most(one.age_seconds for one in partitions),
        rate_in=_sum(one.rate_in for one in partitions),
        rate_out=_sum(one.rate_out for one in partitions),
        catch_up_seconds=_slowest(partitions),
        verdict=_verdict(partitions),
        partitions=tuple(partitions),
        unknown=sum(one.lag is None and one.verdict.health != "OK" for one in partitions),
        lost=sum(one.lost for one in partitions),
        horizon_seconds=min(horizons, default=None),
    )


def unseen(group: FoundGroup, error: str) -> GroupLag:
    """Return a group that could not be looked at."""
    return GroupLag(
        group=group.name,
        state=group.state,
        protocol=group.protocol,
        members=0,
        lag=None,
        certainty="upper bound",
        age_seconds=None,
        rate_in=None,
        rate_out=None,
        catch_up_seconds=None,
        verdict=Verdict(health="UNKNOWN", evidence=error),
        partitions=(),
        error=error,
    )


def _slowest(partitions: Sequence[PartitionLag]) -> float | None:
    """Return the worst partition's time to catch up; where one is not known and none is never, it is not known."""
    times = [one.catch_up_seconds for one in partitions if one.lag is not None]
    if any(time is not None and math.isinf(time) for time in times):
        return math.inf
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def _verdict(partitions: Sequence[PartitionLag]) -> Verdict:
    if not partitions:
        return Verdict(health="OK", evidence="it has committed nothing and reads nothing")
    health = worst([one.verdict.health for one in partitions])
    alike = [one for one in partitions if one.verdict.health == health]
    chosen = max(alike, key=lambda one: one.lag or 0)
    if health == "OK" and not chosen.lag:
        return Verdict(health=health, evidence=chosen.verdict.evidence)
    where = f"{chosen.topic}[{chosen.partition}]"
    share = f"{len(alike)} of {len(partitions)} partitions; " if len(partitions) > 1 else ""
    return Verdict(health=health, evidence=f"{share}{where}: {chosen.verdict.evidence}")


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def topics(ends: Mapping[Slot, Ends | str]) -> tuple[TopicEnds, ...]:
    """Return the ends by topic, those that are known."""
    found: dict[str, dict[int, Ends]] = {}
    for slot, one in sorted(ends.items()):
        if isinstance(one, Ends):
            found.setdefault(slot.topic, {})[slot.partition] = one
    return tuple(
        TopicEnds(
            topic=topic,
            earliest={number: one.earliest for number, one in partitions.items()},
            latest={number: one.latest for number, one in partitions.items()},
        )
        for topic, partitions in found.items()
    )

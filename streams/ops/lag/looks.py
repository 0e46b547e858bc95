"""Lag, from looks at the cluster: how much, how old, how fast, how long still; pure, but for what it remembers."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import timedelta

from streams.ops.lag import measures
from streams.ops.lag.found import Ends, Found, FoundGroup, Gone, Oldest, Slot, start_of
from streams.ops.lag.rules import Case, Floors, Look, Reader, judge
from streams.ops.lag.snapshot import GroupLag, PartitionLag, Snapshot
from streams.ops.lag.sums import summed, topics, unseen
from streams.ops.words import duration, records
from streams.settings import OpsSettings

# In any other state, of those that a client may not know yet too, partitions are on their way between members.
_SETTLED = frozenset({"Stable", "Empty", "Dead"})


@dataclass(frozen=True, slots=True)
class _Wait:
    """What waits in a partition for a group."""

    committed: int
    ends: Ends
    oldest: Oldest | None
    unread: int
    lost: int

    @property
    def exact(self) -> bool:
        # Between two offsets there may be markers and gaps; where there is one offset at most, a fetch has seen it.
        return self.unread == 0 or (self.unread == 1 and self.oldest is not None and self.oldest.error is None)


class History:
    """What was seen before, as far back as the window reaches; it turns a look into a snapshot."""

    def __init__(self, ops: OpsSettings) -> None:
        self._ops = ops
        self._floors = Floors(ops.floor_messages, ops.floor_age_seconds, ops.old_age_seconds, ops.settle_seconds)
        self._seen: dict[tuple[str, Slot], deque[Look]] = {}
        self._looks = 0

    def add(self, found: Found, failures: int = 0) -> Snapshot:
        """Return what this look shows, in the light of those before it."""
        self._looks += 1
        kept: dict[tuple[str, Slot], deque[Look]] = {}
        groups = tuple(self._group(found, group, kept) for group in found.groups)
        # What is not there any more is forgotten.
        self._seen = kept
        return Snapshot(
            cluster=found.cluster,
            at=found.at,
            clock_seconds=found.ends_at,
            took_seconds=found.took_seconds,
            groups=groups,
            topics=topics(found.ends),
            looks=self._looks,
            failures=failures,
        )

    def _group(self, found: Found, group: FoundGroup, kept: dict[tuple[str, Slot], deque[Look]]) -> GroupLag:
        if group.error is not None:
            # It may be one bad moment: what was seen of it before still counts.
            kept |= {key: seen for key, seen in self._seen.items() if key[0] == group.name}
            return unseen(group, group.error)
        waits = {slot: wait for slot in group.slots if (wait := _wait(found, group, slot)) is not None}
        unread, lost = sum(one.unread for one in waits.values()), sum(one.lost for one in waits.values())
        partitions = []
        for slot in group.slots:
            wait = waits.get(slot)
            seen = self._seen.get((group.name, slot), deque())
            if wait is None:
                # A leader that does not answer costs no history; what is gone has none.
                before = seen if _may_come_back(found.ends[slot]) else deque()
                if before:
                    kept[group.name, slot] = before
                partitions.append(_unknown(found, group, slot, before[-1] if before else None))
                continue
            if seen and wait.ends.latest < seen[-1].latest:
                # A topic made anew: what was before is no history of this one.
                seen.clear()
            seen.append(Look(group.at, wait.committed, wait.unread, found.ends_at, wait.ends.latest, wait.lost))
            while len(seen) > 1 and seen[1].at < group.at - self._ops.window_seconds:
                seen.popleft()
            kept[group.name, slot] = seen
            partitions.append(self._partition(found, group, slot, wait, seen, unread, lost))
        return summed(group, partitions)

    def _partition(
        self, found: Found, group: FoundGroup, slot: Slot, wait: _Wait, seen: deque[Look], unread: int, lost: int
    ) -> PartitionLag:
        ends, oldest, member = wait.ends, wait.oldest, group.owners.get(slot)
        rate_in, rate_out = measures.rates(seen, self._ops.rate_seconds)
        age = measures.age(found.at, wait.unread, oldest)
        catch_up = measures.catch_up(wait.unread, rate_in, rate_out)
        horizon, how = measures.horizon(found.at, found.retention.get(slot.topic, "not looked at"), wait.unread, age)
        verdict = judge(
            Case(
                looks=tuple(seen),
                reader=_reader(group, slot),
                age_seconds=age.seconds,
                lost=wait.lost,
                group_unread=unread,
                group_lost=lost,
                catch_up_seconds=catch_up,
                horizon_seconds=horizon,
            ),
            self._floors,
        )
        return PartitionLag(
            topic=slot.topic,
            partition=slot.partition,
            committed=wait.committed,
            earliest=ends.earliest,
            latest=ends.latest,
            lag=wait.lost + wait.unread,
            certainty="exact" if wait.exact else "upper bound",
            age_seconds=age.seconds,
            age_at=found.at if oldest is None else oldest.at,
            age_method=age.method,
            rate_in=rate_in,
            rate_out=rate_out,
            catch_up_seconds=catch_up,
            horizon_seconds=horizon,
            lost=wait.lost,
            member=None if member is None else member.name,
            host=None if member is None else member.host,
            verdict=verdict,
            client=None if member is None else member.client,
            horizon_method=how,
            open_records=ends.high - ends.latest,
        )


def _wait(found: Found, group: FoundGroup, slot: Slot) -> _Wait | None:
    """Return what waits; None where it is not known, for nothing was committed or what was is not there."""
    ends, committed = found.ends[slot], group.committed.get(slot)
    if not isinstance(ends, Ends) or committed is None or committed > ends.high:
        return None
    oldest = found.oldest.get(start_of(slot, committed, ends))
    unread = 0 if measures.reads_nothing(oldest, ends) else max(0, ends.latest - max(committed, ends.earliest))
    return _Wait(committed, ends, oldest, unread, lost=max(0, min(ends.earliest, ends.latest) - committed))


def _reader(group: FoundGroup, slot: Slot) -> Reader:
    if slot in group.owners:
        return "member"
    return "nobody" if group.state in _SETTLED else "unknown"


def _may_come_back(ends: Ends | str) -> bool:
    return isinstance(ends, str) and not isinstance(ends, Gone)


def _unknown(found: Found, group: FoundGroup, slot: Slot, last: Look | None) -> PartitionLag:
    committed, ends = group.committed.get(slot), found.ends[slot]
    known = ends if isinstance(ends, Ends) else None
    why, matters = _why(slot, committed, ends, found.changelogs)
    last_lag = last_at = None
    if last is not None:
        ago = group.at - last.at
        last_lag, last_at = last.lost + last.unread, found.at - timedelta(seconds=ago)
        why = f"{why}; {duration(ago)} ago {records(last_lag)} waited"
    member = group.owners.get(slot)
    return PartitionLag(
        topic=slot.topic,
        partition=slot.partition,
        committed=committed,
        earliest=None if known is None else known.earliest,
        latest=None if known is None else known.latest,
        lag=None,
        certainty="upper bound",
        age_seconds=None,
        age_at=None,
        age_method=f"not known: {why}",
        rate_in=None,
        rate_out=None,
        catch_up_seconds=None,
        horizon_seconds=None,
        lost=0,
        member=None if member is None else member.name,
        host=None if member is None else member.host,
        verdict=judge(Case((), _reader(group, slot), why=why, matters=matters), _NO_FLOORS),
        client=None if member is None else member.client,
        horizon_method=f"not known: {why}",
        open_records=0 if known is None else known.high - known.latest,
        last_lag=last_lag,
        last_at=last_at,
    )


_NO_FLOORS = Floors(messages=1, age_seconds=0.0, old_seconds=math.inf, settle_seconds=0.0)


def _why(slot: Slot, committed: int | None, ends: Ends | str, changelogs: frozenset[str]) -> tuple[str, bool]:
    """Return why a lag is not known, and whether that matters."""
    if isinstance(ends, str):
        return ends, True
    if committed is not None:
        return f"committed {committed} lies beyond the end {ends.high}: a topic made anew, or cut off", True
    if slot.topic in changelogs:
        return "a changelog of rows: it is read without commits", False
    if ends.latest == ends.earliest:
        return "no commit yet, and nothing is there to read", False
    return f"no commit yet; {records(ends.latest - ends.earliest)} are there at most", True

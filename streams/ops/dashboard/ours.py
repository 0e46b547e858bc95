"""Our own group as the map has it: judged by the topics that stages read."""

from __future__ import annotations

from collections.abc import Collection

from streams.ops.lag.found import FoundGroup, Member
from streams.ops.lag.snapshot import GroupLag, Snapshot
from streams.ops.lag.sums import summed


def by_stages(snapshot: Snapshot, ours: str, topics: Collection[str]) -> Snapshot:
    """Return a snapshot whose group `ours` has the partitions of `topics` alone.

    Faust assigns the rows' topic to the group's members too; nothing is ever committed there, so that its lag, and with
    it the group's verdict, would never be known.
    """
    groups = tuple(_judged(one, topics) if one.group == ours and one.error is None else one for one in snapshot.groups)
    return snapshot.model_copy(update={"groups": groups})


def _judged(group: GroupLag, topics: Collection[str]) -> GroupLag:
    kept = [one for one in group.partitions if one.topic in topics]
    if len(kept) == len(group.partitions):
        return group
    members = (Member("", "", ""),) * group.members
    return summed(FoundGroup(group.group, group.state, group.protocol, 0.0, members), kept)

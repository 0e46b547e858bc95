"""A snapshot as the page takes it: numbers in columns, so that thousands of partitions travel in little."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import groupby

from streams.ops.lag.snapshot import WORST_FIRST, GroupLag, PartitionLag, Snapshot

Json = dict[str, object]
NEVER = "never"


def lag_document(snapshot: Snapshot, ours: str, bootstrap: str, every_seconds: float) -> Json:
    """Return the document `lag`: all groups, the one that is ours first, then the worst; times in epoch seconds."""
    return {
        "cluster": snapshot.cluster,
        "bootstrap": bootstrap,
        "at": snapshot.at.timestamp(),
        "every": every_seconds,
        "took": round(snapshot.took_seconds, 3),
        "looks": snapshot.looks,
        "failures": snapshot.failures,
        "error": snapshot.error,
        "groups": [_group(group, ours) for group in ranked(snapshot, ours)],
    }


def ranked(snapshot: Snapshot, ours: str) -> list[GroupLag]:
    """Return the groups, ours first, then by verdict, then by what waits."""
    return sorted(
        snapshot.groups,
        key=lambda one: (one.group != ours, WORST_FIRST.index(one.verdict.health), -(one.lag or 0), one.group),
    )


def _group(group: GroupLag, ours: str) -> Json:
    members = sorted({one.member for one in group.partitions if one.member is not None})
    numbers = {member: number for number, member in enumerate(members)}
    hosts = {one.member: one.host for one in group.partitions if one.member is not None}
    return {
        "group": group.group,
        "ours": group.group == ours,
        "state": group.state,
        "protocol": group.protocol,
        "members": group.members,
        "names": [[member, hosts[member]] for member in members],
        "lag": group.lag,
        "upper": group.certainty == "upper bound",
        "age": _short(group.age_seconds),
        "in": _short(group.rate_in),
        "out": _short(group.rate_out),
        "catch_up": _short(group.catch_up_seconds),
        "health": group.verdict.health,
        "evidence": group.verdict.evidence,
        "error": group.error,
        "topics": [
            _topic(topic, list(partitions), numbers)
            for topic, partitions in groupby(sorted(group.partitions, key=_place), key=lambda one: one.topic)
        ],
    }


def _topic(topic: str, partitions: list[PartitionLag], numbers: Mapping[str, int]) -> Json:
    return {
        "topic": topic,
        "partition": [one.partition for one in partitions],
        "lag": [one.lag for one in partitions],
        "committed": [one.committed for one in partitions],
        "latest": [one.latest for one in partitions],
        "age": _column(one.age_seconds for one in partitions),
        "in": _column(one.rate_in for one in partitions),
        "out": _column(one.rate_out for one in partitions),
        "catch_up": _column(one.catch_up_seconds for one in partitions),
        "horizon": _column(one.horizon_seconds for one in partitions),
        "lost": [one.lost for one in partitions],
        "member": [None if one.member is None else numbers[one.member] for one in partitions],
        "health": [one.verdict.health for one in partitions],
        # What goes well says nothing that its numbers do not.
        "evidence": {one.partition: one.verdict.evidence for one in partitions if one.verdict.health != "OK"},
    }


def _place(one: PartitionLag) -> tuple[str, int]:
    return one.topic, one.partition


def _column(values: Iterable[float | None]) -> list[float | str | None]:
    return [_short(value) for value in values]


def _short(value: float | None) -> float | str | None:
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        return NEVER
    return round(value, 1 if abs(value) >= 100 else 3)

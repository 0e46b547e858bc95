"""How far a row has come in each topic that changes it, so that at least once its events count once all the same.

A row leaves only when the outputs of everything that it counts are acknowledged. So a record at or below the row's
position was applied and its outputs are out: it is skipped. A record above it is applied, its outputs perhaps for a
second time, with the same ids. A healed scene comes back as a new record, perhaps twice; the row knows for which of its
scenes it waits, by the offset at which they were judged and sent to be healed.

What a row counts stands in a header of its record on the changelog, `applied`, and only at least once. For each topic:
`{"scenes": [17, 1767225600000, 12, [15]]}`, the fields of `Position`. The timestamp tells a topic that was deleted and
made again: its offsets begin anew, and its records are younger. Old records that somebody sends to it with their old
timestamps look as if they were counted, and are skipped: such records need the time at which they are sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from streams.kafka import wire
from streams.kafka.numbers import number_in
from streams.kafka.records import Headers, Received
from streams.topology import HOPS

APPLIED = "applied"
# Offset of the judgement that sent a scene to be healed; it comes back with the healed scene.
JUDGED_AT = "judged_at"
# Scenes that never come back (those that no healer could stand) are not remembered for ever.
_AWAITED_AT_MOST = 256
# What scenes that come back say where they come from.
_HEALERS = frozenset(wire.source(hop.stage) for hop in HOPS if hop.outcome == "healed")


class Position(NamedTuple):
    """How far a row has come in a topic.

    The last offset that it counts, the latest timestamp (ms) among what it counts, the offset from which it knows
    which scenes are away to be healed, and the offsets at which those were judged.
    """

    offset: int
    timestamp: int
    since: int
    awaited: tuple[int, ...] = ()


Applied = Mapping[str, Position]
NOTHING: Applied = {}


def has(applied: Applied, topic: str, offset: int, timestamp: int, judged_at: int | None) -> bool:
    """Return whether a row counts this record, or another one that brought the same healed scene."""
    position = applied.get(topic)
    if position is None:
        return False
    if offset <= position.offset and timestamp <= position.timestamp:
        return True
    known = judged_at is not None and position.since <= judged_at <= position.offset
    return known and judged_at not in position.awaited


def count(
    applied: Applied, topic: str, offset: int, timestamp: int, judged_at: int | None, *, goes_on: bool
) -> Applied:
    """Return what a row counts after this record; `goes_on` where the record's scene is sent to be healed."""
    before = applied.get(topic)
    if before is None or offset <= before.offset:
        # The first of its topic, or of a topic that was made again.
        before = Position(offset, timestamp, offset)
    since, awaited = before.since, tuple(one for one in before.awaited if one != judged_at)
    if goes_on:
        awaited = (*awaited, offset)
    while len(awaited) > _AWAITED_AT_MOST:
        # What is forgotten is judged when it comes, perhaps twice; never is it lost.
        since, awaited = max(since, awaited[0] + 1), awaited[1:]
    return {**applied, topic: Position(offset, max(timestamp, before.timestamp), since, awaited)}


def is_behind(one: Applied, other: Applied) -> bool:
    """Return whether `other` counts all that `one` does and more: then `one` was written by a zombie."""
    return (
        bool(one)
        and one != other
        and all(
            topic in other and mine.offset <= other[topic].offset and mine.timestamp <= other[topic].timestamp
            for topic, mine in one.items()
        )
    )


def write(applied: Applied) -> bytes:
    """Return the header's value."""
    return json.dumps(applied, separators=(",", ":")).encode()


def read(value: bytes | None) -> Applied:
    """Return what a header says, nothing where there is none; raises ValueError for what is no such header."""
    if value is None:
        return NOTHING
    try:
        return {
            str(topic): Position(int(offset), int(timestamp), int(since), tuple(map(int, awaited)))
            for topic, (offset, timestamp, since, awaited) in json.loads(value).items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the header `{APPLIED}` cannot be read: {error!r}") from error


def header(record: Received) -> bytes | None:
    """Return what a row's record on the changelog says that it counts, as it stands there."""
    return next((value for name, value in record.headers if name == APPLIED), None)


def judged_at(record: Received) -> int | None:
    """Return where the scene that a record brings back was judged; None where it was not, or nothing was noted."""
    if wire.header(record.headers, "ce_source") not in _HEALERS:
        # Whoever sends scenes may have copied all headers of one that was read.
        return None
    value = next((value for name, value in on_its_way(record)), None)
    return None if value is None else number_in(value)


def on_its_way(record: Received) -> Headers:
    """Return what is handed on with a scene while it is healed."""
    return tuple((name, value) for name, value in record.headers if name == JUDGED_AT)[-1:]

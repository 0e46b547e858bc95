"""Lag as a terminal shows it: a line a group, or a group's partitions as kafka-consumer-groups prints them and more."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.cli.terminal import clean
from streams.ops.lag.snapshot import WORST_FIRST, Certainty, GroupLag, Health, PartitionLag, Snapshot
from streams.ops.words import duration, rate, records

Judged = TypeVar("Judged", GroupLag, PartitionLag)
_STYLES: dict[Health, str] = {
    "OK": "green",
    "UNKNOWN": "dim",
    "WARN": "yellow",
    "REWIND": "magenta",
    "STALL": "red",
    "STOP": "bold red",
}
# Columns of kafka-consumer-groups --describe, with its names.
_PLACE = ("TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG")
_SHORT_PLACE = ("TOPIC", "PART", "CURRENT", "END", "LAG")
_MEASURES = ("AGE", "IN", "OUT", "CATCH-UP")
_MEMBER = ("CONSUMER-ID", "HOST", "CLIENT-ID")
_FOLDED = frozenset({"GROUP", "TOPIC", "READS", "NOTE", *_MEMBER})
_TEXTS = frozenset({"STATE", "VERDICT", *_FOLDED})
# A terminal that is narrower shows who reads in a table of its own; one that is narrower still has shorter names.
_WIDE, _MIDDLE = 150, 110
_PIPE_WIDTH = 400


def console() -> Console:
    """Return a console; what is no terminal has room for every column."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def overview(snapshot: Snapshot, rows: int | None = None) -> RenderableType:
    """Return a line a group, the worst ones' evidence beneath, and what the numbers are; at most `rows` of each."""
    if not snapshot.groups:
        return Group(Text("no consumer groups"), _foot(snapshot, ()))
    lines = table("GROUP", "STATE", "MEMBERS", "LAG", *_MEASURES, "VERDICT")
    shown = _worst(snapshot.groups, rows)
    for group in shown:
        row(
            lines,
            group.group,
            group.state,
            str(group.members),
            _lag(group.lag, group.certainty),
            *_measured(group),
            _verdict(group.verdict.health),
        )
    more = _more(len(snapshot.groups) - len(shown), "groups")
    return Group(lines, *more, *_evidence(shown)[:rows], _foot(snapshot, snapshot.groups))


def detail(snapshot: Snapshot, group: GroupLag, width: int, rows: int | None = None) -> RenderableType:
    """Return a group's partitions, `rows` of them at most, who reads them, and the group's sum."""
    wide = width >= _WIDE
    place = _PLACE if width >= _MIDDLE else _SHORT_PLACE
    lines = table(*(("GROUP",) if wide else ()), *place, *_MEASURES, "VERDICT", *(_MEMBER if wide else ()))
    shown = _worst(group.partitions, rows)
    for one in shown:
        row(
            lines,
            *((group.group,) if wide else ()),
            one.topic,
            str(one.partition),
            _number(one.committed),
            _number(one.latest),
            _lag(one.lag, one.certainty),
            *_measured(one),
            _verdict(one.verdict.health),
            *(_member(one) if wide else ()),
        )
    parts: list[RenderableType] = [lines] if group.partitions else []
    parts += _more(len(group.partitions) - len(shown), "partitions")
    if not wide and group.members and rows is None:
        parts.append(_readers(group.partitions))
    return Group(*parts, _summary(group), *_evidence([group], always=True), *_notes(group), _foot(snapshot, [group]))


def table(*columns: str) -> Table:
    """Return an empty table; what is no text is to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        text = column in _TEXTS
        # Names fold where there is no room; numbers never do.
        made.add_column(column, justify="left" if text else "right", overflow="fold", no_wrap=column not in _FOLDED)
    return made


def row(lines: Table, *cells: str | Text) -> None:
    """Add a row; whatever names hold, it is neither obeyed by the terminal nor taken for markup."""
    lines.add_row(*(Text(clean(cell)) if isinstance(cell, str) else cell for cell in cells))


def _worst(of: Sequence[Judged], rows: int | None) -> Sequence[Judged]:
    """Return the worst so many, in the order in which they came."""
    if rows is None or len(of) <= rows:
        return of
    bad = sorted(of, key=lambda one: (WORST_FIRST.index(one.verdict.health), -(one.lag or 0)))[:rows]
    return [one for one in of if one in bad]


def _more(count: int, what: str) -> list[RenderableType]:
    return [Text(f"… {count} more {what}, none worse", style="dim")] if count else []


def _readers(partitions: Sequence[PartitionLag]) -> Table:
    lines = table(*_MEMBER, "READS")
    held: dict[tuple[str, str, str], list[str]] = {}
    for one in partitions:
        if one.member is not None:
            held.setdefault(_member(one), []).append(f"{one.topic}[{one.partition}]")
    for member, reads in held.items():
        row(lines, *member, ", ".join(reads))
    return lines


def _summary(group: GroupLag) -> Text:
    catch_up = group.catch_up_seconds
    waits = "lag unknown" if group.lag is None else f"lag {_lag(group.lag, group.certainty)}"
    facts = [
        f"{group.state}, {group.members} member{'' if group.members == 1 else 's'}, {group.protocol} protocol",
        waits,
        *([f"the oldest for {duration(group.age_seconds)}"] if group.age_seconds else []),
        *(["rates unknown"] if group.rate_in is None else [f"in {rate(group.rate_in)}, out {_rate(group.rate_out)}"]),
        *([_catch_up(catch_up)] if catch_up else []),
    ]
    return Text.assemble((clean(group.group), "bold"), f": {'; '.join(facts)}; ", _verdict(group.verdict.health))


def _catch_up(seconds: float) -> str:
    if math.isinf(seconds):
        return "not caught up with, at these rates"
    return f"caught up with in {duration(seconds)}"


def _evidence(groups: Iterable[GroupLag], *, always: bool = False) -> list[Text]:
    return [
        Text.assemble(_verdict(group.verdict.health), f" {clean(group.group)}: {clean(group.verdict.evidence)}")
        for group in groups
        if group.verdict.health != "OK" or (always and group.lag)
    ]


def _notes(group: GroupLag) -> list[Text]:
    notes = []
    if group.lost:
        notes.append(f"{records(group.lost)} were deleted before they were read; they are part of the lag")
    if group.unknown:
        notes.append(f"the lag of {group.unknown} of {len(group.partitions)} partitions is not known, nor in the sum")
    still_open = sum(one.open_records for one in group.partitions)
    if still_open:
        notes.append(f"{records(still_open)} of transactions still open are not counted: nobody may read them yet")
    methods = {one.age_method for one in group.partitions if one.lag and one.age_seconds is None}
    notes += [f"age {clean(method)}" for method in sorted(methods)]
    return [Text(note, style="dim") for note in notes]


def _foot(snapshot: Snapshot, groups: Sequence[GroupLag]) -> Text:
    at = f"looked at {snapshot.at:%H:%M:%S} UTC in {duration(snapshot.took_seconds)}"
    if any(group.certainty == "upper bound" and group.lag for group in groups):
        at += "; ≤ at most, for markers and gaps between offsets are no messages"
    if snapshot.error is not None:
        return Text.assemble((f"THIS IS OLD, {at}; {clean(snapshot.error)}", "red"))
    return Text(at, style="dim")


def _measured(one: GroupLag | PartitionLag) -> tuple[str, str, str, str]:
    return (_time(one.age_seconds), _rate(one.rate_in), _rate(one.rate_out), _time(one.catch_up_seconds))


def _member(one: PartitionLag) -> tuple[str, str, str]:
    return one.member or "-", one.host or "-", one.client or "-"


def _lag(lag: int | None, certainty: Certainty) -> str:
    if lag is None:
        return "-"
    return f"{lag}" if certainty == "exact" else f"≤{lag}"


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)


def _rate(per_second: float | None) -> str:
    return "-" if per_second is None else rate(per_second)


def _verdict(health: Health) -> Text:
    return Text(health, style=_STYLES[health])

"""`scenestream lag`: who is behind, by how much, since when, and why."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.live import Live

from streams.cli.configured import load_settings
from streams.cli.lag_view import console, detail, overview
from streams.cli.terminal import clean
from streams.kafka.clients import BrokerAway
from streams.ops.lag.rules import REST_SECONDS
from streams.ops.lag.snapshot import GroupLag, PartitionLag, Snapshot
from streams.ops.lag.watch import Watcher

# What is redrawn has to fit: so many rows at least, with so many lines for what stands around them.
_FEW, _AROUND = 3, 9
_SPAN_SECONDS = 2.0
_ALARMS = frozenset({"WARN", "STOP", "STALL", "REWIND"})

Name = Annotated[str | None, typer.Argument(metavar="GROUP", help="A group's partitions; all groups without it.")]
Watch = Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the snapshot as JSON, with --watch one a line.")]
Span = Annotated[
    float | None,
    typer.Option("--span", min=0.5, help="Seconds from one look to the next (2; 10 where nobody reads what waits)."),
]
Once = Annotated[bool, typer.Option("--once", help="Look once: faster, and without rates.")]


def lag(
    group: Name = None,
    watch: Watch = False,  # noqa: FBT002 - a flag of the command line
    as_json: AsJson = False,  # noqa: FBT002 - as watch
    span: Span = None,
    once: Once = False,  # noqa: FBT002 - as watch
) -> None:
    """Show the lag of any consumer group of this Kafka, its age, rates, time to catch up, and a verdict.

    Verdicts are Burrow's: OK, WARN (falling behind), STOP (nobody reads), STALL (a member stands still) and REWIND (it
    went back). STOP is told from ten seconds of looks, STALL and WARN from a minute: use --watch, or --span 60.

    Exit 0 where nothing alarms, 1 where a group has an alarm or could not be looked at, 2 where Kafka could not be.
    """
    settings = load_settings()
    every = _SPAN_SECONDS if span is None else span
    ops = settings.ops.model_copy(update={"every_seconds": every}) if watch else settings.ops
    watcher = Watcher.of(settings.kafka, ops, only=group)
    if watch:
        _watch(watcher, group, as_json=as_json)
        return
    try:
        snapshot = _look(watcher, group, 0.0 if once else span)
    finally:
        watcher.close()
    if as_json:
        typer.echo(_only(snapshot, group).model_dump_json())
    else:
        terminal = console()
        terminal.print(_drawn(snapshot, group, terminal.width))
    shown = _only(snapshot, group).groups
    if any(one.verdict.health in _ALARMS or one.error for one in shown):
        raise typer.Exit(1)


def _look(watcher: Watcher, name: str | None, span: float | None) -> Snapshot:
    snapshot = _found(watcher.look(), name)
    if span is None:
        span = _SPAN_SECONDS
        deserted = [one.group for one in _only(snapshot, name).groups if any(map(_waits_for_nobody, one.partitions))]
        if deserted:
            span = REST_SECONDS
            names = ", ".join(map(clean, deserted))
            typer.echo(f"no member reads all that waits for {names}: looking {REST_SECONDS:g} s for a commit", err=True)
    if span > 0.0:
        time.sleep(span)
        snapshot = _found(watcher.look(), name)
    return snapshot


def _waits_for_nobody(one: PartitionLag) -> bool:
    return one.verdict.health == "UNKNOWN" and one.member is None and one.lag is not None and one.lag > 0


def _watch(watcher: Watcher, name: str | None, *, as_json: bool) -> None:
    try:
        # What cannot be looked at from the beginning is an error; what goes away later is waited for.
        _found(watcher.look(), name)
        with watcher:
            if as_json:
                _print_each(watcher, name)
            else:
                _redraw(watcher, name)
    except KeyboardInterrupt:
        return


def _print_each(watcher: Watcher, name: str | None) -> None:
    seen = None
    while True:
        newer = watcher.wait_newer(seen, 60.0)
        if newer is not None:
            seen = newer
            typer.echo(_only(newer, name).model_dump_json())


def _redraw(watcher: Watcher, name: str | None) -> None:
    terminal = console()
    seen = None
    with Live(console=terminal, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            newer = watcher.wait_newer(seen, 60.0)
            if newer is not None:
                seen = newer
                live.update(_drawn(newer, name, terminal.width, max(_FEW, terminal.height - _AROUND)), refresh=True)


def _found(snapshot: Snapshot, name: str | None) -> Snapshot:
    """Return a snapshot that holds what was asked for; raises BrokerAway, or exits 2 where there is no such group."""
    if snapshot.error is not None:
        raise BrokerAway(snapshot.error)
    if name is not None and _group(snapshot, name) is None:
        there = ", ".join(sorted(clean(one.group) for one in snapshot.groups)) or "none"
        typer.echo(f"there is no consumer group {clean(name)!r}; those that are there: {there}", err=True)
        raise typer.Exit(2)
    return snapshot


def _only(snapshot: Snapshot, name: str | None) -> Snapshot:
    if name is None:
        return snapshot
    return snapshot.model_copy(update={"groups": tuple(one for one in snapshot.groups if one.group == name)})


def _group(snapshot: Snapshot, name: str) -> GroupLag | None:
    return next((one for one in snapshot.groups if one.group == name), None)


def _drawn(snapshot: Snapshot, name: str | None, width: int, rows: int | None = None) -> RenderableType:
    if name is None:
        return overview(snapshot, rows)
    group = _group(snapshot, name)
    # It may go while it is watched.
    return overview(_only(snapshot, name)) if group is None else detail(snapshot, group, width, rows)

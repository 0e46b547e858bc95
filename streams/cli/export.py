"""`scenestream export`: a time range of the live pipeline as a log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.configured import load_settings
from streams.cli.times import when
from streams.ops.replays.export import export as write_range

Since = Annotated[str, typer.Option("--since", metavar="WHEN", help="From then on: 90m, 2h, 3d or 2026-03-01T12:00.")]
Until = Annotated[str, typer.Option("--until", metavar="WHEN", help="To before then; now by default.")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The log to write; gzip where its name ends in .gz.")]


def export(since: Since, out: Out, until: Until = "0s") -> None:
    """Write the scenes and feedback of a time range to a log that `replay` reads.

    What came to the pipeline is written as it came, a dialogue's turns in their order; what healing sent round again is
    left out, for a replay heals anew. Exit 1 where no scene came in that time; 2 where a partition cannot be read, and
    then it is named and nothing is written.
    """
    now = datetime.now(UTC)
    begin, end = when(since, now, "--since"), when(until, now, "--until")
    if begin >= end:
        raise typer.BadParameter("it is not before --until", param_hint="--since")
    settings = load_settings()
    found = write_range(settings.kafka, settings.ops, begin, end, out)
    left_out = f"; {found.left_out} records left out: healed ones, and what no log may hold" if found.left_out else ""
    typer.echo(f"{out}: {found.scenes} scenes, {found.feedback} feedback{left_out}")
    if not found.scenes:
        raise typer.Exit(1)

"""`scenestream doctor`: whether a replay would work on this machine, and what to do where not."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.checks import Check, Mark, check_all, check_settings
from streams.cli.terminal import clean

AsJson = Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")]
_MARKS: dict[Mark, tuple[str, str]] = {"right": ("✓", "green"), "optional": ("!", "yellow"), "wrong": ("✗", "red")}


def doctor(as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Look at this machine: CPU, providers, models, settings, Java for the live part; and say what to do about each.

    Exit code 0 when a replay would work; what is marked ! does not keep it from that.
    """
    first, settings = check_settings()
    checks = [first, *(check_all(settings) if settings is not None else ())]
    works = all(check.mark != "wrong" for check in checks)
    if as_json:
        typer.echo(json.dumps({"works": works, "checks": [asdict(check) for check in checks]}, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        console.print(_table(checks))
        console.print("a replay works here" if works else "a replay does not work here: see ✗ above")
    if not works:
        raise typer.Exit(1)


def _table(checks: list[Check]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for check in checks:
        mark, colour = _MARKS[check.mark]
        told = Text(clean(check.value))
        if check.advice:
            told.append("\n" + clean(check.advice), "dim" if check.mark == "right" else colour)
        table.add_row(Text(mark, colour), check.what, told)
    return table

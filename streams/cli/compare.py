"""`scenestream compare`: what changed from one run to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.table import Table

from schemas.names import FINAL_VERDICTS, Verdict
from streams.cli.terminal import clean
from streams.ops.replays.comparison import Comparison, RunFacts
from streams.ops.replays.comparison import compare as hold_against

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.", show_default=False)]
Baseline = Annotated[Path, typer.Argument(metavar="BASELINE", help="The run it is held against.", show_default=False)]
Examples = Annotated[int, typer.Option("--examples", min=0, help="Scenes to name of each change.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it all as JSON.")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit 1 where they did not decide the same.")]
_FINAL = tuple(verdict for verdict in Verdict if verdict in FINAL_VERDICTS)


def compare(
    run: Run,
    baseline: Baseline,
    examples: Examples = 3,
    as_json: AsJson = False,  # noqa: FBT002 - a flag of the command line
    exit_code: ExitCode = False,  # noqa: FBT002 - as as_json
) -> None:
    """Hold a run against a baseline, scene by scene: which verdicts changed, by which rules, and what was set.

    Scenes are matched by their ids, so both runs should be of the same log. Look at one with `explain RUN SCENE_ID`.
    """
    found = hold_against(run, baseline, examples=examples)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        # A scene's id or a log's name may look like markup.
        console = Console(markup=False, emoji=False)
        for part in _parts(found):
            console.print(part)
            if isinstance(part, Table):
                console.print()
    if exit_code and not found.same_digest:
        raise typer.Exit(1)


def _parts(found: Comparison) -> Iterator[RenderableType]:
    yield _runs(found.run, found.baseline)
    if found.same_digest:
        yield "They decided the same, to the last score: the digests are equal."
    elif found.changed_share is None:
        yield "They have no scene in common: were they runs of the same log?"
    else:
        yield f"{found.changed} of {found.compared} scenes changed their verdict ({found.changed_share:.1%})."
        yield f"{found.moved} kept it and differ in rule, register, codes or a score."
    if found.only_run or found.only_baseline:
        yield f"Not compared: {found.only_run} scenes only in the run, {found.only_baseline} only in the baseline."
    if found.changes:
        yield _verdicts(found)
        yield _changes(found)
    rules = [rule for rule in found.rules if rule.before != rule.after]
    if rules:
        table = _table("rule", "baseline", "run", "more or less")
        for rule in sorted(rules, key=lambda one: -abs(one.after - one.before)):
            table.add_row(clean(rule.rule), f"{rule.before:,}", f"{rule.after:,}", f"{rule.after - rule.before:+,}")
        yield table
    if found.settings:
        table = _table("what differs", "baseline", "run")
        for setting in found.settings:
            table.add_row(clean(setting.name), clean(setting.before) or "-", clean(setting.after) or "-")
        yield table


def _runs(run: RunFacts, baseline: RunFacts) -> Table:
    table = _table("", "scenes", "ready", "withheld", "reasoning", "healed", "dead", "digest")
    for name, one in (("baseline", baseline), ("run", run)):
        counts = (one.scenes, one.ready, one.withheld, one.reasoning, one.healed, one.dead)
        told = f"{name} {clean(one.name, 40)}{' (interrupted)' if one.interrupted else ''}"
        table.add_row(told, *(f"{count:,}" for count in counts), clean(one.digest[:12]))
    return table


def _verdicts(found: Comparison) -> Table:
    table = _table("baseline ╲ run", *(verdict.value for verdict in _FINAL))
    counts = {(pair.before, pair.after): pair.scenes for pair in found.table}
    for before in _FINAL:
        row = [counts.get((before, after), 0) for after in _FINAL]
        table.add_row(before.value, *(f"{count:,}" if count else "·" for count in row))
    return table


def _changes(found: Comparison) -> Table:
    table = _table("changed", "scenes", "for example")
    for change in found.changes:
        examples = ", ".join(clean(scene_id, 60) for scene_id in change.examples)
        table.add_row(f"{change.before.value} ► {change.after.value}", f"{change.scenes:,}", examples)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    words = {"", "rule", "changed", "for example", "what differs", "digest", "baseline ╲ run"}
    told = columns[0] == "what differs"
    for column in columns:
        table.add_column(column, justify="left" if column in words or told else "right", overflow="fold")
    return table

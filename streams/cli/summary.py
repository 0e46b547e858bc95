"""What a run came to, as tables for a person."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from streams.replay.controls import beaten

_MODES = {
    "strict": "an unlabelled scene counts as an error until its label comes",
    "expected": "an unlabelled scene counts its calibrated risk",
    "off": "no promise about errors; only thresholds gate",
    "observe": "every scene is ready as it came; below it, what a gate would have decided",
}
_FINAL = {
    "ready": "go on to generation (healed scenes with their cue)",
    "withheld": "say nothing",
    "reasoning": "think again",
}
WITHHELD = {
    "ledger.drafts": "the promise on drafts has no room for the risk",
    "ledger.healed": "the promise on healed scenes has no room for the risk",
    "bridged.gains_little": "no chain is expected to hold",
    "fresh.no_route": "no way of healing is open",
    "regenerated.no_route": "the new register lost the meaning and no other way is open",
}


def print_summary(summary: Mapping[str, object], folder: Path, report: Path, console: Console) -> None:
    """Print what happened, why scenes were withheld, and where to look."""
    gate = cast("Mapping[str, Mapping[str, object]]", summary["settings"])["gate"]
    mode = str(gate["mode"])
    console.print(f"gate: [bold]{mode}[/bold], {_MODES[mode]}", soft_wrap=True)
    if mode not in {"off", "observe"}:
        console.print(_promise(gate), soft_wrap=True)
    console.print(_outcomes(summary))
    if summary.get("controls"):
        console.print(_controls(summary))
    if summary["interrupted"]:
        console.print("[yellow]interrupted: what was done is written[/yellow]")
    workers = str(cast("Mapping[str, object]", summary["models"]).get("workers", ""))
    if workers:
        stamps = ", ".join(f"{one[:16]}…" for one in workers.split(", "))
        several = "workers with different models decided" if ", " in workers else "workers with other models decided"
        console.print(f"[yellow]{several} (sha256 {stamps}), not those that this command would use[/yellow]")
    speed = f"{summary['scenes_per_second']:,} scenes/s"
    console.print(
        f"{summary['scenes']:,} scenes in {summary['seconds']} s ({speed}), digest {str(summary['digest'])[:16]}…"
    )
    # A folder's name may hold what looks like markup.
    console.print(f"decisions: {folder / 'decisions.jsonl'}", soft_wrap=True, markup=False)
    console.print(f"report:    {report}", soft_wrap=True, markup=False)


def _outcomes(summary: Mapping[str, object]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("outcome")
    table.add_column("scenes", justify="right")
    table.add_column("share", justify="right")
    table.add_column("what it means", style="dim")
    scenes = max(1, cast("int", summary["scenes"]))

    def section(name: str, meanings: Mapping[str, str], indent: str) -> None:
        for key, count in cast("Mapping[str, int]", summary.get(name, {})).items():
            table.add_row(f"{indent}{key}", f"{count:,}", f"{count / scenes:.1%}", meanings.get(key, ""))

    final = cast("Mapping[str, int]", summary["final"])
    for verdict in ("ready", "withheld", "reasoning"):
        table.add_row(
            f"[bold]{verdict}[/bold]", f"{final[verdict]:,}", f"{final[verdict] / scenes:.1%}", _FINAL[verdict]
        )
        if verdict == "ready":
            section("observed", {}, "  a gate says ")
            section("healed_by", {"regeneration": "healed: same meaning, another register"}, "  healed by ")
        if verdict == "withheld":
            section("withheld_by", WITHHELD, "  ")
    dead = cast("int", summary["dead"])
    if dead:
        table.add_row("[bold]dead letters[/bold]", f"{dead:,}", "", "not admitted; see dead.jsonl")
        for reason, count in cast("Mapping[str, int]", summary["dead_by"]).items():
            table.add_row(f"  {reason}", f"{count:,}", "", "")
    for outcome, count in cast("Mapping[str, int]", summary["feedback"]).items():
        table.add_row(f"feedback {outcome}", f"{count:,}", "", _FEEDBACK.get(outcome, ""))
    return table


def _controls(summary: Mapping[str, object]) -> Table:
    """Print how many of the spoilt scenes that were healed are right, beside what costs nothing."""
    controls = cast("Mapping[str, Mapping[str, float]]", summary["controls"])
    table = Table(box=None, pad_edge=False, title="right against the truth (cosine .30)", title_justify="left")
    columns = list(next(iter(controls.values())))
    table.add_column("route", no_wrap=True)
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for route, figures in controls.items():
        shares = [f"{figures[name]:.0f}" if name == "scenes" else f"{figures[name]:.2f}" for name in columns]
        table.add_row(route, *shares)
    lost = [
        f"{route} does not beat {', '.join(beaten(figures))}" for route, figures in controls.items() if beaten(figures)
    ]
    table.caption = "; ".join(lost).replace("_", " ")
    table.caption_justify = "left"
    return table


def _promise(gate: Mapping[str, object]) -> str:
    kind = "guaranteed" if gate["mode"] == "strict" else "on expectation"
    spare = f"{gate['slack']:g} + {gate['rho']:g} a turn"
    return (
        f"promise, {kind}: a user's errors stay under {gate['alpha']:.0%} of the drafts said "
        f"({gate['alpha_healed']:.0%} of the healed), + {spare}"
    )


_FEEDBACK = {
    "learnt": "moved thresholds and the ledger",
    "told": "a preference, told",
    "repeated": "a second label changes nothing",
    "inapplicable": "the words were not said as they were: healed, withheld or spoilt",
}

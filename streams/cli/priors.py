"""`scenestream priors`: what users taught earlier runs, folded into a snapshot for the next one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.cli.configured import load_settings
from streams.cli.terminal import clean
from streams.replay.run_dir import RunDirError, told_where
from streams.replay.run_reader import read_rows, read_summary
from streams.stages.policy import Gate, Priors
from streams.stages.priors import Fold, Level, Taught, fold

app = typer.Typer(no_args_is_help=True, help="What users taught earlier runs, for those who come after them.")

Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Directories that replay wrote.", show_default=False)
]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The snapshot; one that is there is built upon.")]


@app.callback()
def _group() -> None:
    """Keep `fold` a command of its own, though it is the only one."""


@app.command("fold")
def fold_runs(runs: Runs, out: Out) -> None:
    """Fold the sensitivity rows of runs into one snapshot of shifts, by task and for everyone.

    A run started with SCENESTREAM_PRIORS=FILE begins where these ended. Fold a run once: it counts each time.
    """
    gate = load_settings().gate
    before = _read_priors(out)
    folded = fold(_taught(runs, gate), before)
    _write(out, folded.priors)
    console = Console()
    console.print(_table(folded, before))
    console.print(f"version {folded.priors.version}: {out}", soft_wrap=True, markup=False)
    if folded.everyone.users == 0:
        console.print("no row holds a label: the shifts are as before; fold runs of a log with ratings", markup=False)
        raise typer.Exit(1)


def _taught(runs: Iterable[Path], gate: Gate) -> Iterator[Taught]:
    for run in runs:
        summary = read_summary(run)
        try:
            settings = summary.get("settings")
            gate_of_run = Gate.model_validate(settings["gate"]) if isinstance(settings, Mapping) else gate
            priors = Priors.model_validate(summary.get("priors", {}))
        except (ValidationError, KeyError) as error:
            raise RunDirError(f"{run} was written by another version of scenestream; replay the log again") from error
        for row in read_rows(run):
            yield Taught(row, gate_of_run, priors)


def _read_priors(path: Path) -> Priors:
    try:
        return Priors.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Priors()
    except OSError as error:
        raise RunDirError(f"cannot read {path}: {error.strerror or error}; choose another --out") from error
    except ValidationError as error:
        raise RunDirError(f"{path} holds no priors; choose another --out") from error


def _write(path: Path, priors: Priors) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with told_where(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.write_text(priors.model_dump_json(indent=2) + "\n", encoding="utf-8")
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)


def _table(folded: Fold, before: Priors) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("level")
    for name in ("users", "their mean", "before", "shift of theta"):
        table.add_column(name, justify="right")

    def add(name: str, level: Level, known: float | None) -> None:
        was = "-" if known is None else f"{known:+.4f}"
        mean = f"{level.mean:+.4f}" if level.users else "-"
        table.add_row(Text(clean(name)), str(level.users), mean, was, f"{level.shift:+.4f}")

    add("everyone", folded.everyone, before.everyone if before.version else None)
    for task, shift in folded.priors.tasks.items():
        known = folded.tasks.get(task, Level(0, 0.0, shift))
        add(f"task {task}", known, before.tasks.get(task))
    return table

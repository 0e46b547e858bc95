"""`scenestream replay`: logs through the whole pipeline, and a run's directory for what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from schemas.scene import Scene
from streams.cli.configured import load_settings
from streams.cli.interrupts import INTERRUPTED, ended_like_ctrl_c, held_back
from streams.cli.progress import Form, Told, told
from streams.cli.summary import print_summary
from streams.cli.terminal import clean
from streams.cli.wiring import open_scorer
from streams.kafka.wire import models_stamp
from streams.replay.controls import MAX_TRIALS, Trial, hold_against_controls, trial_of
from streams.replay.items import Item
from streams.replay.reader import STDIN, Selection, check_logs, read_logs, size_of
from streams.replay.report import write_report
from streams.replay.run_dir import RunWriter, keep_apart, told_where
from streams.replay.spoil import Spoiling, spoil_items
from streams.runtimes.embedded import EmbeddedRuntime
from streams.runtimes.lanes import Batching
from streams.runtimes.lockstep import Outcome
from streams.runtimes.remote import RemoteRuntime
from streams.scoring.scorer import ModelScorer
from streams.settings import Settings
from streams.stages.policy import Policy


class Target(StrEnum):
    """Where a log is decided."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


Logs = Annotated[
    list[str],
    typer.Argument(metavar="LOG...", help="Chat or scene JSONL, plain or gzip; - for stdin.", show_default=False),
]
Out = Annotated[Path | None, typer.Option("--out", help="The run's directory; runs/DATE-LOG by default.")]
Limit = Annotated[int | None, typer.Option("--limit", min=0, help="Read this many scenes at most.")]
Dialogue = Annotated[str | None, typer.Option("--dialogue", metavar="ID", help="Read one dialogue only.")]
Memory = Annotated[Path | None, typer.Option("--memory", metavar="DIR", help="A memory base, see `memory build`.")]
Spoil = Annotated[
    str | None, typer.Option("--spoil", metavar="KINDS:SHARE", help="Spoil drafts, e.g. shattered,echo:0.3")
]
Seed = Annotated[int, typer.Option("--seed", help="Which drafts are spoilt, and how.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
Where = Annotated[Target, typer.Option("--target", help="Decide in this process, or send to workers on Kafka.")]
Quiet = Annotated[bool, typer.Option("--no-progress", help="Show no progress bar.")]
HowFar = Annotated[Form, typer.Option("--progress", help="Show a bar, or write lines of JSON to stderr.")]
NoTexts = Annotated[bool, typer.Option("--no-texts", help="Keep no words of the dialogues in the run's directory.")]


def replay(
    logs: Logs,
    out: Out = None,
    limit: Limit = None,
    dialogue: Dialogue = None,
    memory: Memory = None,
    spoil: Spoil = None,
    seed: Seed = 0,
    target: Where = Target.EMBEDDED,
    as_json: AsJson = False,  # noqa: FBT002 - a flag of the command line
    no_progress: Quiet = False,  # noqa: FBT002 - as as_json
    progress: HowFar = Form.BAR,
    no_texts: NoTexts = False,  # noqa: FBT002 - as as_json
) -> None:
    """Replay logged conversations through the pipeline: judge, heal, and report.

    Each assistant turn is taken as a draft. What was decided is in DIR/decisions.jsonl, what could not be read in
    DIR/dead.jsonl, and DIR/report.html shows it all. Ctrl-C ends the run and keeps what was done.
    """
    spoiling = None if spoil is None else _parse_spoiling(spoil, seed)
    if target is Target.KAFKA and memory is not None:
        raise typer.BadParameter(
            "workers decide, each with a memory of its own: set SCENESTREAM_MEMORY for them", param_hint="--memory"
        )
    settings = load_settings(memory=memory)
    check_logs(logs)
    if out is not None:
        keep_apart(out, logs)
    policy = settings.policy()
    scorer = open_scorer(settings, quotes=not no_texts)
    folder = _new_folder(logs) if out is None else out
    selection = Selection(settings.replay.context_turns, limit, dialogue)
    items = read_logs(logs, scorer.terms(), selection)
    if no_texts:
        items = (item.without_words() for item in items)
    if spoiling is not None:
        items = spoil_items(items, spoiling)
    runtime = _runtime(target, settings, scorer, policy)
    started = time.perf_counter()
    interrupted = False
    trials: list[Trial] = []
    hidden = no_progress or (as_json and progress is Form.BAR)
    with ended_like_ctrl_c(), RunWriter(folder, keep_texts=not no_texts) as writer:
        with told(Form.NONE if hidden else progress, size_of(logs)) as listener:
            try:
                _run(runtime, items, writer, trials, listener)
            except KeyboardInterrupt:
                interrupted = True
        seconds = time.perf_counter() - started
        models, told_settings = _deciders(runtime, scorer, settings)
        facts = {
            "interrupted": interrupted,
            "seconds": round(seconds, 3),
            "scenes_per_second": round(writer.scenes / seconds, 1),
            "stages": runtime.timings.summary(),
            "models": models,
            "logs": [STDIN if log == STDIN else Path(log).name for log in logs],
            "target": target.value,
            "spoil": spoil,
            "controls": hold_against_controls(trials, scorer.suite, seed),
            "seed": seed,
            "settings": told_settings,
            "priors": policy.priors.model_dump(mode="json"),
        }
        with held_back():
            summary = writer.finish(runtime.rows, facts)
    with told_where(folder):
        report = write_report(folder)
    if dialogue is not None and not writer.scenes:
        typer.echo(f"no scene of dialogue {clean(dialogue, 80)} is in these logs", err=True)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        print_summary(summary, folder, report, Console())
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _runtime(
    target: Target, settings: Settings, scorer: ModelScorer, policy: Policy
) -> EmbeddedRuntime | RemoteRuntime:
    if target is Target.KAFKA:
        return RemoteRuntime(settings.kafka, settings.replay.open_scenes)
    batching = Batching(settings.models.max_batch, settings.models.max_wait_ms, settings.replay.open_scenes)
    return EmbeddedRuntime(scorer, policy, batching)


def _deciders(
    runtime: EmbeddedRuntime | RemoteRuntime, scorer: ModelScorer, settings: Settings
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return the models that decided, and the settings: ours, or what workers say of their models where those differ.

    Where workers decided nothing there are none; a memory is part of the models, so ours is no setting of theirs.
    """
    ours, told = scorer.describe(), settings.model_dump(mode="json")
    if isinstance(runtime, EmbeddedRuntime) or runtime.stamps == {models_stamp(ours)}:
        return ours, told
    theirs = {"workers": ", ".join(sorted(runtime.stamps))} if runtime.stamps else {}
    return theirs, {**told, "memory": None}


def _run(
    runtime: EmbeddedRuntime | RemoteRuntime,
    items: Iterator[Item],
    writer: RunWriter,
    trials: list[Trial],
    listener: Told,
) -> None:
    outcomes = runtime.run(items)
    line = ("", 0)
    try:
        for outcome in outcomes:
            with held_back():
                _write(outcome, writer, trials)
            where = outcome.item.where
            if (where.source, where.line) != line:
                line = (where.source, where.line)
                listener.done(where.size_bytes)
            listener.scenes(writer.scenes)
    except KeyboardInterrupt:
        # It may have come between what was written last and the telling of it.
        listener.scenes(writer.scenes)
        raise
    finally:
        outcomes.close()


def _write(outcome: Outcome, writer: RunWriter, trials: list[Trial]) -> None:
    scene = outcome.item.event
    if outcome.dead is not None:
        writer.dead(outcome.dead)
    elif outcome.feedback is not None:
        writer.feedback(outcome.feedback)
    elif isinstance(scene, Scene):
        writer.scene(scene, outcome.decisions)
        if outcome.item.truth is not None and len(trials) < MAX_TRIALS:
            trial = trial_of(scene, outcome.item.truth, outcome.decisions)
            trials.extend([] if trial is None else [trial])


def _parse_spoiling(text: str, seed: int) -> Spoiling:
    try:
        return Spoiling.parse(text, seed)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--spoil") from error


def _new_folder(logs: list[str]) -> Path:
    """Make the folder of a run that was given none; a run that began in the same second keeps its own."""
    stem = "stdin" if logs[0] == STDIN else Path(logs[0]).name.split(".")[0]
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{stem}"
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(folder for folder in (Path("runs") / name for name in names) if _is_made(folder))


def _is_made(folder: Path) -> bool:
    with told_where(folder), suppress(FileExistsError):
        folder.mkdir(parents=True)
        return True
    return False

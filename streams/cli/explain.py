"""`scenestream explain`: one scene as a picture; of a run, or typed in and put through the stages now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.lexicon import Lexicon
from schemas.names import Register
from schemas.scene import Scene
from streams.cli.configured import load_settings
from streams.cli.picture import Baseline, Story, draw
from streams.cli.said import turns_of
from streams.cli.wiring import open_memory, open_suite
from streams.replay.run_reader import find_scene
from streams.runtimes.single import settle
from streams.scoring.baseline import random_gains
from streams.scoring.scorer import ModelScorer
from streams.settings import Settings
from streams.stages.admit import Refusal, admit

_RANDOM_CHAINS = 200
_DIALOGUE = "typed-in"
_WEIGHTED = re.compile(r"^(?P<label>.*\S)\s+(?P<weight>\d*\.?\d+)$")

Run = Annotated[
    Path | None, typer.Argument(metavar="RUN_DIR", help="A directory that replay wrote.", show_default=False)
]
SceneId = Annotated[str | None, typer.Argument(metavar="SCENE_ID", help="A scene of that run.", show_default=False)]
TypedChain = Annotated[
    str | None, typer.Option("--chain", help="Codes joined by +, in English or Russian; a weight may follow each.")
]
Context = Annotated[
    list[str] | None, typer.Option("--context", help="What was said before, oldest first; the last is the user's.")
]
Draft = Annotated[str | None, typer.Option("--draft", help="What is to be said next.")]
Voice = Annotated[Register | None, typer.Option("--register", help="The register to hold a typed-in scene in.")]
Memory = Annotated[Path | None, typer.Option("--memory", metavar="DIR", help="A memory base, for a typed-in scene.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Which random chains are the baseline.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the decisions as JSON, one a line.")]


def explain(
    run: Run = None,
    scene_id: SceneId = None,
    chain: TypedChain = None,
    context: Context = None,
    draft: Draft = None,
    register: Voice = None,
    memory: Memory = None,
    seed: Seed = 0,
    as_json: AsJson = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    r"""Show one scene: its chain before and after, its parts, which rule decided, the ledger, its way.

    Of a run: scenestream explain RUN_DIR SCENE_ID

    Typed in: scenestream explain --chain 'вход + дрожь + неясность' --context TEXT, or --draft TEXT --context TEXT
    """
    if run is not None:
        if chain is not None or draft is not None or context:
            raise typer.BadParameter("name a scene of a run, or type one in: not both", param_hint="RUN_DIR")
        if scene_id is None:
            raise typer.BadParameter("which scene of it? Ids are in its decisions.jsonl", param_hint="SCENE_ID")
        found = find_scene(run, scene_id)
        story = Story(found.decisions, found.context if found.texts_kept else None, found.draft)
    else:
        if (chain is None) == (draft is None):
            raise typer.BadParameter("give RUN_DIR SCENE_ID, or one of --chain and --draft", param_hint="--chain")
        story = _typed_in(load_settings(memory=memory), chain, draft, context or [], register, seed)
    if as_json:
        for decision in story.decisions:
            typer.echo(decision.model_dump_json(by_alias=True))
    else:
        draw(story, Console(highlight=False))


def _typed_in(
    settings: Settings, chain: str | None, draft: str | None, context: Sequence[str], register: str | None, seed: int
) -> Story:
    suite = open_suite(settings)
    memory = open_memory(settings, suite)
    scorer = ModelScorer(suite, memory, settings.gate.codes)
    typed: dict[str, object] = {"type": "scene", "dialogue_id": _DIALOGUE, "turn": len(context)}
    typed["context"] = turns_of([_readable(text) for text in context])
    typed["register"] = register
    if draft is not None:
        typed["draft"] = _readable(draft)
    if chain is not None:
        typed["chain"] = _parse_chain(chain, suite.lexicon)
    scene = admit(typed, scorer.terms())
    if not isinstance(scene, Scene):
        what = scene.detail if isinstance(scene, Refusal) else "no scene"
        raise typer.BadParameter(what, param_hint="--draft" if chain is None else "--chain")
    settled = settle(scene, scorer, settings.policy())
    baseline = None
    if chain is not None and settled.wish is not None:
        baseline = Baseline(random_gains(suite, memory, settled.wish, _RANDOM_CHAINS, seed), seed)
    return Story(settled.decisions, scene.context, scene.draft, settled.candidates, baseline)


def _readable(argument: str) -> str:
    # Bytes of the command line that are no UTF-8 arrive as lone surrogates, which no encoder reads.
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _parse_chain(text: str, lexicon: Lexicon) -> list[dict[str, object]]:
    """Read `entrance + tremor 0.9`; heaviest first, as chains are; a code without a weight weighs 1."""
    parts = [part.strip() for part in text.split("+") if part.strip()]
    matched = [_WEIGHTED.match(part) for part in parts]
    labels = [part if found is None else found["label"] for part, found in zip(parts, matched, strict=True)]
    weights = [1.0 if found is None else float(found["weight"]) for found in matched]
    try:
        rows = lexicon.parse_chain(" + ".join(labels))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--chain") from error
    codes: list[dict[str, object]] = [
        {"code": lexicon.codes[row], "weight": weight} for row, weight in zip(rows, weights, strict=True)
    ]
    return sorted(codes, key=lambda code: -float(str(code["weight"])))

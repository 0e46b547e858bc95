"""What `make bench-live` sends: the examples' scenes, again and again under fresh names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.scene import Scene
from schemas.vector import Vector
from streams.cli.configured import load_settings
from streams.replay.reader import Selection, read_logs
from streams.scoring.scorer import ModelScorer

EXAMPLES = tuple(f"examples/{log}" for log in ("evenings.jsonl", "night_shift.jsonl.gz", "scenes.jsonl"))


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of scenes: how many a drain and a warm-up have, and what share of the plain loop the worker must reach."""

    name: str
    title: str
    drained: int
    warm_up: int
    target: float


CASES = (
    Case("embeddings", "(a) scenes that bring embeddings", 6000, 1500, 0.90),
    Case("text", "(b) scenes with text", 400, 200, 0.95),
)


def endless(case: Case, scorer: ModelScorer) -> Iterator[Scene]:
    """Yield the examples' scenes again and again under fresh ids, their texts made new, for texts are remembered."""
    selection = Selection(load_settings().replay.context_turns)
    read = [item.event for item in read_logs(EXAMPLES, scorer.terms(), selection)]
    scenes = [one for one in read if isinstance(one, Scene) and one.draft is not None and one.embedding is None]
    if case.name == "embeddings":
        vectors = scorer.suite.encoder.encode([one.draft for one in scenes if one.draft is not None]).vectors
        scenes = [
            one.model_copy(update={"draft": None, "context": (), "embedding": Vector.pack(vector)})
            for one, vector in zip(scenes, vectors, strict=True)
        ]
    for copy in itertools.count():
        yield from (fresh(one, f"{copy}") for one in scenes)


def fresh(scene: Scene, copy: str) -> Scene:
    """Return a scene like this one under names of its own, and with texts that were never encoded."""
    name = f"{scene.dialogue_id}~{copy}"
    said = tuple(one.model_copy(update={"text": f"{one.text} {copy}"}) for one in scene.context)
    return scene.model_copy(
        update={
            "dialogue_id": name,
            "scene_id": f"{name}:{scene.turn}",
            "user_id": None if scene.user_id is None else f"{scene.user_id}~{copy}",
            "context": said,
            "draft": None if scene.draft is None else f"{scene.draft} {copy}",
        }
    )

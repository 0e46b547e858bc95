"""The records of a log by what they are about: outcomes, scenes sent to be healed, and scenes that came back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from schemas import topics
from schemas.decision import Decision
from schemas.names import Origin
from schemas.scene import Scene

OUTCOMES = (topics.READY, topics.WITHHELD, topics.REASONING)
HOPS = (topics.REGENERATE, topics.ANALOGUE)
DEAD = tuple(topics.dead_topic(name) for name in (topics.SCENES, topics.FEEDBACK, *HOPS))
READ = (*topics.TOPICS, *DEAD)
# All committed records of each topic.
Log = Mapping[str, Sequence[Any]]
# What a record is about: its kind, the scene, the attempt. And where it lies with what it says.
Ident = tuple[str, str, int]
Said = tuple[str, bytes]


def found_in(log: Log) -> Mapping[Ident, Sequence[Said]]:
    """Return what a log says of each outcome, hop to be healed, and scene that is healed."""
    found: dict[Ident, list[Said]] = defaultdict(list)
    for topic in OUTCOMES:
        for record in log[topic]:
            decision = Decision.model_validate_json(record.value)
            found["outcome", decision.scene_id, 0].append((topic, record.value))
    for topic in (*HOPS, topics.SCENES):
        for record in log[topic]:
            scene = _scene(record.value)
            if scene is not None and (topic != topics.SCENES or scene.origin is not Origin.FRESH):
                kind = "healed" if topic == topics.SCENES else "hop"
                found[kind, scene.scene_id, scene.attempt].append((topic, record.value))
    return found


def _scene(value: Any) -> Scene | None:  # noqa: ANN401 - anything may lie on `scenes`
    try:
        return Scene.model_validate_json(value)
    except ValueError:
        return None

"""The records of a log by what they are about: outcomes, scenes sent to be healed, and scenes that came back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from schemas import topics
from schemas.decision import Decision
from schemas.names import Origin
from schemas.scene import Scene
from streams.kafka.dead_letters import read_letter
from streams.kafka.wire import header

OUTCOMES = (topics.READY, topics.WITHHELD, topics.REASONING)
HOPS = (topics.REGENERATE, topics.ANALOGUE)
DEAD = tuple(topics.dead_topic(name) for name in (topics.SCENES, topics.FEEDBACK, *HOPS))
READ = (*topics.TOPICS, *DEAD)
# All committed records of each topic.
Log = Mapping[str, Sequence[Any]]
# What a record is about: its kind, the scene, the attempt.
Ident = tuple[str, str, int]


class Said(NamedTuple):
    """Where a record lies and what it says; of its headers what does not hang on the clock."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    ce_id: str | None
    ce_source: str | None
    decision: str | None


def said_in(topic: str, partition: int, record: Any) -> Said:  # noqa: ANN401 - aiokafka's record, or a message
    """Return what a record says, or a message that would be sent there."""
    headers = (header(record.headers, name) for name in ("ce_id", "ce_source", "decision"))
    return Said(topic, partition, record.key, record.value, *headers)


def found_in(log: Log) -> Mapping[Ident, Sequence[Said]]:
    """Return what a log says of each outcome, hop to be healed, and scene that is healed."""
    found: dict[Ident, list[Said]] = defaultdict(list)
    for topic in OUTCOMES:
        for record in log[topic]:
            decision = Decision.model_validate_json(record.value)
            found["outcome", decision.scene_id, 0].append(said_in(topic, record.partition, record))
    for topic in (*HOPS, topics.SCENES):
        for record in log[topic]:
            scene = _scene(record.value)
            if scene is not None and (topic != topics.SCENES or scene.origin is not Origin.FRESH):
                kind = "healed" if topic == topics.SCENES else "hop"
                found[kind, scene.scene_id, scene.attempt].append(said_in(topic, record.partition, record))
    return found


def _scene(value: Any) -> Scene | None:  # noqa: ANN401 - anything may lie on `scenes`
    try:
        return Scene.model_validate_json(value)
    except ValueError:
        return None


def without_repeats(log: Log) -> Log:
    """Return what is left of a log for whoever drops what comes again under an id that came before.

    Rows are as they are, and so is feedback: who says a thing twice says it under one id.
    """
    kept = {name: [*records] for name, records in log.items()}
    for name in (*OUTCOMES, *HOPS, topics.SCENES, *DEAD):
        first: dict[object, Any] = {}
        for record in log[name]:
            about = _source_of(record) if name in DEAD else header(record.headers, "ce_id")
            first.setdefault((about, None if about else record.offset), record)
        kept[name] = [*first.values()]
    return kept


def _source_of(record: Any) -> object:  # noqa: ANN401
    letter = read_letter(record)
    return letter.source, letter.source_offset

"""What a record of the pipeline's topics says, as far as those who watch need it; nothing is refused, only not read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError
from pydantic_core import from_json

from schemas import topics
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.sensitivity import Sensitivity
from streams.kafka import wire
from streams.kafka.dead_letters import marked, read_letter
from streams.kafka.records import Headers, Received
from streams.stages.admit import Refusal
from streams.topology import AGENTS

HEALERS: Mapping[str, Literal["regeneration", "bridge"]] = {"regeneration": "regeneration", "bridge": "bridge"}
FINAL = frozenset({topics.READY, topics.WITHHELD, topics.REASONING})
ONWARD = frozenset({topics.REGENERATE, topics.ANALOGUE})
DEAD = frozenset(topics.dead_topic(agent.reads) for agent in AGENTS)
# A dead letter may be of any size; no event of ours is larger than this by default settings, twice over.
LARGEST_BYTES = 2 * 2**20
LONGEST_ID = 540
FOLLOWED = (*topics.TOPICS, *sorted(DEAD))


@dataclass(frozen=True, slots=True)
class Record:
    """A record as a consumer gave it; `topic` is the map's name, `at` its timestamp in seconds (None: it has none)."""

    topic: str
    partition: int
    offset: int
    at: float | None
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def timestamp(self) -> int:
        """Milliseconds, as Kafka has it; 0 where there is none."""
        return 0 if self.at is None else round(self.at * 1000)

    @property
    def received(self) -> Received:
        """The record for those who read what aiokafka gives; they do not write to it."""
        return self  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class SceneSeen:
    """A scene that came to a stage's topic; `carried` is the verdict with which it goes on to be healed."""

    scene_id: str
    dialogue_id: str
    user_id: str | None
    attempt: int
    origin: str
    carried: Decision | None


@dataclass(frozen=True, slots=True)
class RowSeen:
    """A row as a stage left it; of feedback, what it came to and the row's id, which follows from its scene."""

    row: Sensitivity
    stage: str
    outcome: str
    ce_id: str


@dataclass(frozen=True, slots=True)
class DeathSeen:
    """A dead letter: of which stage and for which reason."""

    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class MarkSeen:
    """The mark beside a dead letter that was sent back."""


Said = SceneSeen | Decision | Feedback | RowSeen | DeathSeen | MarkSeen


def read(record: Record) -> Said | None:
    """Return what a record says; None where it is no event of ours."""
    if record.topic in DEAD:
        return _death(record)
    if record.topic in FINAL:
        decision = wire.decode_decision(record.key, record.value)
        return None if isinstance(decision, Refusal) else decision
    if record.topic == topics.SENSITIVITY:
        row = wire.decode_row(record.key, record.value)
        if isinstance(row, Refusal):
            return None
        stage = (wire.header(record.headers, "ce_source") or "").rpartition("/")[2]
        outcome = wire.header(record.headers, wire.OUTCOME) or "learnt"
        return RowSeen(row, stage, outcome, wire.header(record.headers, "ce_id") or "")
    if record.topic == topics.FEEDBACK:
        return _feedback(record.value)
    return _scene(record)


def said_by(value: bytes | None) -> Mapping[str, object]:
    """Return the fields of a JSON object, none where a value is something else or too large to be an event."""
    if value is None or len(value) > LARGEST_BYTES:
        return {}
    try:
        said = from_json(value)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _death(record: Record) -> DeathSeen | MarkSeen:
    if marked(record.received) is not None:
        return MarkSeen()
    failure = read_letter(record.received).failure
    return DeathSeen(failure.stage, failure.exception)


def _feedback(value: bytes | None) -> Feedback | None:
    try:
        return None if value is None else Feedback.model_validate_json(value)
    except (ValidationError, RecursionError):
        return None


def _scene(record: Record) -> SceneSeen | None:
    # Not validated: what a scene carries is the worker's to judge, and its vector is much to read for five fields.
    said = said_by(record.value)
    dialogue, turn, user = said.get("dialogue_id"), said.get("turn"), said.get("user_id")
    attempt, origin = said.get("attempt", 0), said.get("origin", "fresh")
    if not isinstance(dialogue, str) or not isinstance(attempt, int) or not isinstance(origin, str):
        return None
    scene_id = str(said.get("scene_id") or f"{dialogue}:{turn}")
    # Names are remembered: those that no event may have are not.
    if max(len(dialogue), len(scene_id), len(origin)) > LONGEST_ID:
        return None
    return SceneSeen(
        scene_id=scene_id,
        dialogue_id=dialogue,
        user_id=user if isinstance(user, str) else None,
        attempt=attempt,
        origin=origin,
        carried=_carried(record) if record.topic in ONWARD else None,
    )


def _carried(record: Record) -> Decision | None:
    found = wire.header(record.headers, wire.DECISION)
    if found is None:
        return None
    decision = wire.decode_decision(record.key, found.encode())
    return None if isinstance(decision, Refusal) else decision

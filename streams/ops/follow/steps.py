"""Steps of a dialogue, made of records or of a run's decisions: words only where they may be shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from schemas.decision import Decision, LedgerView
from schemas.feedback import Feedback
from schemas.scene import Healing, Scene, Utterance
from schemas.sensitivity import Sensitivity
from streams.kafka import wire
from streams.kafka.dead_letters import read_letter
from streams.kafka.letter_words import show_message
from streams.ops.follow.dialogue import Dialogue, DialogueStep, Kind, Said
from streams.ops.reading.seen import DeathSeen, Record, RowSeen, SceneSeen, read, said_by
from streams.stages import ledger
from streams.stages.policy import Gate

_RANKS: dict[Kind, int] = {"scene": 0, "decision": 1, "dead letter": 2, "feedback": 3, "row": 4}
_AFTER_ALL_ATTEMPTS = 99
_LARGEST_TURN = 2**31
_NEVER = datetime.max.replace(tzinfo=UTC)


def step_of(record: Record, gate: Gate, *, texts: bool) -> DialogueStep | None:
    """Return what a record says of a dialogue; None for what says nothing, such as rows that no feedback left."""
    said = read(record)
    step: DialogueStep | None = None
    if isinstance(said, Decision):
        step = of_decision(said, texts=texts)
    elif isinstance(said, SceneSeen):
        step = _of_scene(record, said, texts=texts)
    elif isinstance(said, Feedback):
        step = _of_feedback(said)
    elif isinstance(said, RowSeen) and said.stage == "threshold":
        step = _of_row(said.row, said.outcome, gate)
    elif isinstance(said, DeathSeen):
        step = _of_death(record, texts=texts)
    if step is None:
        return None
    at = None if record.at is None else datetime.fromtimestamp(record.at, UTC)
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "at": at}
    return step.model_copy(update=place)


def of_decision(
    decision: Decision, *, texts: bool, context: Sequence[Utterance] = (), draft: str | None = None
) -> DialogueStep:
    """Return the step that a verdict is, with the words of its scene where the caller has them."""
    return DialogueStep(
        kind="decision",
        scene_id=decision.scene_id,
        dialogue_id=decision.dialogue_id,
        user_id=decision.user_id,
        turn=decision.turn,
        attempt=decision.attempt,
        stage="resonance",
        topic=None,
        partition=None,
        offset=None,
        at=None,
        origin=decision.origin,
        verdict=decision.verdict,
        final=decision.final,
        rule=decision.rule,
        reason=decision.reason,
        register=decision.register,
        resonance=decision.resonance,
        threshold=decision.threshold,
        risk=decision.risk,
        parts=decision.parts,
        chain=decision.chain,
        healing=_shown_healing(decision.healing, texts=texts),
        ledger=decision.ledger,
        cue=shown(decision.cue, texts=texts),
        context=_shown_context(context, texts=texts),
        draft=shown(draft, texts=texts),
        spoilt=decision.spoilt,
    )


def shown(text: str | None, *, texts: bool) -> str | None:
    """Return a text, or how long it is where it may not be shown."""
    return text if texts or text is None else f"<{len(text)} characters>"


def dialogue_of(steps: Iterable[DialogueStep], *, texts: bool, whole: bool, most: int) -> Dialogue:
    """Return the steps, one dialogue after the other, by turn, attempt and time; the oldest are cut beyond `most`."""
    made = list(steps)
    began: dict[str, tuple[datetime, int]] = {}
    for number, step in enumerate(made):
        first = (step.at or _NEVER, number)
        began[step.dialogue_id] = min(began.get(step.dialogue_id, first), first)
    ordered = sorted(enumerate(made), key=lambda one: (began[one[1].dialogue_id], _rank(one[1]), one[0]))
    kept = tuple(step for _, step in ordered)[-most:]
    cut = len(made) - len(kept)
    return Dialogue(steps=kept, texts_shown=texts, whole=whole and not cut, cut=cut)


def _rank(step: DialogueStep) -> tuple[float, int, int, datetime]:
    turn = math.inf if step.turn is None else step.turn
    late = step.kind in {"feedback", "row"}
    attempt = _AFTER_ALL_ATTEMPTS if late or step.attempt is None else step.attempt
    return turn, attempt, _RANKS[step.kind], step.at or _NEVER


def _of_scene(record: Record, seen: SceneSeen, *, texts: bool) -> DialogueStep:
    scene = _scene(record.value)
    stage = (wire.header(record.headers, "ce_source") or "").rpartition("/")[2] or wire.SOURCE
    context = () if scene is None else scene.context
    draft = None if scene is None else scene.draft
    if seen.carried is not None:
        return of_decision(seen.carried, texts=texts, context=context, draft=draft)
    return DialogueStep(
        kind="scene",
        scene_id=seen.scene_id,
        dialogue_id=seen.dialogue_id,
        user_id=seen.user_id,
        turn=None if scene is None else scene.turn,
        attempt=seen.attempt,
        stage=stage,
        topic=None,
        partition=None,
        offset=None,
        at=None,
        origin=None if scene is None else scene.origin,
        register=None if scene is None else scene.register,
        chain=() if scene is None or scene.chain is None else scene.chain,
        healing=None if scene is None else _shown_healing(scene.healing, texts=texts),
        context=_shown_context(context, texts=texts),
        draft=shown(draft, texts=texts),
        spoilt=None if scene is None else scene.spoilt,
    )


def _of_feedback(feedback: Feedback) -> DialogueStep:
    error = feedback.error
    return DialogueStep(
        kind="feedback",
        scene_id=feedback.scene_id,
        dialogue_id=feedback.dialogue_id,
        user_id=feedback.user_id,
        turn=feedback.turn,
        attempt=None,
        stage=wire.SOURCE,
        topic=None,
        partition=None,
        offset=None,
        at=None,
        outcome="told" if error is None else "rejected" if error else "accepted",
        register=None if feedback.preference is None else feedback.preference.register,
    )


def _of_row(row: Sensitivity, outcome: str, gate: Gate) -> DialogueStep:
    return DialogueStep(
        kind="row",
        scene_id="",
        dialogue_id=row.dialogues[-1].dialogue_id if row.dialogues else row.key,
        user_id=row.key,
        turn=None,
        attempt=None,
        stage="threshold",
        topic=None,
        partition=None,
        offset=None,
        at=None,
        outcome=outcome,
        ledger=_ledger(row, gate),
    )


def _of_death(record: Record, *, texts: bool) -> DialogueStep:
    letter = read_letter(record.received)
    said = said_by(record.value)
    turn, attempt = said.get("turn"), said.get("attempt", 0)
    dialogue, user = said.get("dialogue_id"), said.get("user_id")
    key = "" if record.key is None else record.key.decode("utf-8", "replace")
    return DialogueStep(
        kind="dead letter",
        scene_id=str(said.get("scene_id") or wire.header(letter.headers, "ce_subject") or f"{dialogue}:{turn}"),
        dialogue_id=dialogue if isinstance(dialogue, str) else key,
        user_id=user if isinstance(user, str) else None,
        turn=_small(turn),
        attempt=_small(attempt),
        stage=letter.failure.stage,
        topic=None,
        partition=None,
        offset=None,
        at=None,
        rule=letter.failure.exception,
        reason=show_message(letter.failure, texts=texts),
    )


def _small(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= _LARGEST_TURN else None


def _ledger(row: Sensitivity, gate: Gate) -> LedgerView:
    return ledger.view(row, "drafts", gate)


def _shown_healing(healing: Healing | None, *, texts: bool) -> Healing | None:
    if healing is None or healing.nearest_reply is None or texts:
        return healing
    return healing.model_copy(update={"nearest_reply": shown(healing.nearest_reply, texts=False)})


def _shown_context(context: Sequence[Utterance], *, texts: bool) -> tuple[Said, ...]:
    return tuple(Said(role=one.role, text=shown(one.text, texts=texts) or "") for one in context)


def _scene(value: bytes | None) -> Scene | None:
    try:
        return None if value is None else Scene.model_validate_json(value)
    except (ValidationError, RecursionError):
        return None

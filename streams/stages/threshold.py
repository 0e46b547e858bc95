"""Threshold: feedback in, a new sensitivity row out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.feedback import Feedback
from schemas.sensitivity import DialogueRow, Pending, Sensitivity
from streams.stages import ledger, preferences, rows, tuner
from streams.stages.policy import Gate

Outcome = Literal["learnt", "told", "repeated", "inapplicable", "unknown"]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The row after feedback, and what the feedback came to."""

    row: Sensitivity
    outcome: Outcome


def tune(row: Sensitivity, feedback: Feedback, gate: Gate) -> Tuned:
    """Return the row after `feedback`.

    A rating judges the words that were said: it is inapplicable where the scene was healed, withheld or spoilt, and a
    second one for the same scene changes nothing. A preference needs no scene.
    """
    if feedback.preference is not None:
        row = _told(row, feedback)
    if feedback.error is None:
        return Tuned(row, "told")
    dialogue = rows.dialogue_of(row, feedback.dialogue_id)
    if not rows.has(dialogue, dialogue.seen, feedback.turn):
        return Tuned(row, "unknown")
    if not rows.has(dialogue, dialogue.emitted_as_was, feedback.turn):
        return Tuned(row.model_copy(update={"inapplicable": row.inapplicable + 1}), "inapplicable")
    if rows.has(dialogue, dialogue.labelled, feedback.turn):
        return Tuned(row.model_copy(update={"repeated": row.repeated + 1}), "repeated")
    return Tuned(_learnt(row, dialogue, feedback.turn, feedback.error, gate), "learnt")


def _learnt(row: Sensitivity, dialogue: DialogueRow, turn: int, error: int, gate: Gate) -> Sensitivity:
    dialogue = rows.mark(dialogue, "labelled", turn)
    row, dialogue = tuner.learn(row, dialogue, error, gate)
    entry = _awaited(row, dialogue.dialogue_id, turn)
    if entry is not None:
        row = ledger.settle(row, entry, error)
        if error == 0:
            weight = gate.preference_weight
            row = preferences.accept(row, entry.register, entry.brevity, weight)
            dialogue = preferences.accept(dialogue, entry.register, entry.brevity, weight)
    return rows.with_dialogue(row, dialogue)


def _awaited(row: Sensitivity, dialogue_id: str, turn: int) -> Pending | None:
    return next((entry for entry in row.pending if (entry.dialogue_id, entry.turn) == (dialogue_id, turn)), None)


def _told(row: Sensitivity, feedback: Feedback) -> Sensitivity:
    assert feedback.preference is not None  # noqa: S101 - the caller asked
    dialogue = preferences.tell(rows.dialogue_of(row, feedback.dialogue_id), feedback.preference)
    return rows.with_dialogue(preferences.tell(row, feedback.preference), dialogue)

"""Sensitivity rows: find a dialogue in its row, and remember turns as bits over its last 256."""

from __future__ import annotations

from typing import Literal

from schemas.sensitivity import DialogueRow, Sensitivity

WINDOW_TURNS = 256
KEPT_DIALOGUES = 32
_MASK = (1 << WINDOW_TURNS) - 1
Placement = Literal["next", "duplicate", "out_of_order"]


def dialogue_of(row: Sensitivity, dialogue_id: str) -> DialogueRow:
    """Return the dialogue's part of the row, a new one where it is not known."""
    for dialogue in reversed(row.dialogues):
        if dialogue.dialogue_id == dialogue_id:
            return dialogue
    return DialogueRow(dialogue_id=dialogue_id)


def with_dialogue(row: Sensitivity, dialogue: DialogueRow) -> Sensitivity:
    """Return the row with this dialogue put last; the longest untouched one beyond 32 is forgotten."""
    others = tuple(known for known in row.dialogues if known.dialogue_id != dialogue.dialogue_id)
    return row.model_copy(update={"dialogues": (*others[-(KEPT_DIALOGUES - 1) :], dialogue)})


def place(dialogue: DialogueRow, turn: int) -> Placement:
    """Return whether `turn` comes next, was seen within the window, or comes after a later one."""
    if turn > dialogue.last_turn:
        return "next"
    return "duplicate" if has(dialogue, dialogue.seen, turn) else "out_of_order"


def has(dialogue: DialogueRow, bits: int, turn: int) -> bool:
    """Return whether `turn` is set in one of the dialogue's windows."""
    offset = turn - dialogue.base
    return 0 <= offset < WINDOW_TURNS and bool(bits >> offset & 1)


def mark(dialogue: DialogueRow, field: Literal["emitted_as_was", "labelled"], turn: int) -> DialogueRow:
    """Return the dialogue with `turn` set in one of its windows."""
    bits: int = getattr(dialogue, field)
    return dialogue.model_copy(update={field: bits | 1 << (turn - dialogue.base)})


def see(dialogue: DialogueRow, turn: int) -> DialogueRow:
    """Return the dialogue with `turn` seen; its windows slide so that `turn` is their newest at the latest."""
    base = max(dialogue.base, turn - WINDOW_TURNS + 1)
    slide = base - dialogue.base

    def slid(bits: int) -> int:
        return bits >> slide & _MASK

    return dialogue.model_copy(
        update={
            "base": base,
            "last_turn": turn,
            "seen": slid(dialogue.seen) | 1 << (turn - base),
            "emitted_as_was": slid(dialogue.emitted_as_was),
            "labelled": slid(dialogue.labelled),
        }
    )

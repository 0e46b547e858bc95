from __future__ import annotations

from builders import row

from schemas.sensitivity import DialogueRow, Sensitivity
from streams.stages import rows


def seen(*turns: int) -> DialogueRow:
    dialogue = DialogueRow(dialogue_id="d")
    for turn in turns:
        dialogue = rows.see(dialogue, turn)
    return dialogue


def test_turns_come_in_rising_order() -> None:
    dialogue = seen(1, 3, 9)
    assert rows.place(DialogueRow(dialogue_id="d"), 0) == "next"
    assert [rows.place(dialogue, turn) for turn in (10, 1000, 9, 3, 4, 0)] == [
        "next", "next", "duplicate", "duplicate", "out_of_order", "out_of_order",
    ]  # fmt: skip


def test_a_repeat_from_before_the_window_is_merely_out_of_order() -> None:
    dialogue = seen(5, 5 + 255)
    assert rows.place(dialogue, 5) == "duplicate"
    assert rows.place(seen(5, 5 + 256), 5) == "out_of_order"


def test_a_far_turn_slides_everything_out() -> None:
    dialogue = seen(1, 2, 2**31)
    assert dialogue.seen == 1 << 255
    assert dialogue.base == 2**31 - 255
    assert rows.place(dialogue, 2**31) == "duplicate"


def test_marks_slide_with_the_window() -> None:
    dialogue = rows.mark(rows.mark(seen(1, 2), "emitted_as_was", 2), "labelled", 2)
    later = rows.see(dialogue, 2 + 255)
    assert rows.has(later, later.emitted_as_was, 2)
    assert rows.has(later, later.labelled, 2)
    latest = rows.see(later, 2 + 256)
    assert not latest.emitted_as_was
    assert not latest.labelled
    assert latest.seen.bit_count() == 2


def test_an_unknown_dialogue_is_new() -> None:
    assert rows.dialogue_of(row(), "x") == DialogueRow(dialogue_id="x")


def test_only_the_latest_dialogues_are_kept() -> None:
    kept: Sensitivity = row()
    for number in range(rows.KEPT_DIALOGUES + 1):
        kept = rows.with_dialogue(kept, DialogueRow(dialogue_id=str(number), z=number))
        kept = rows.with_dialogue(kept, rows.dialogue_of(kept, "0"))
    names = [dialogue.dialogue_id for dialogue in kept.dialogues]
    assert len(names) == len(set(names)) == rows.KEPT_DIALOGUES
    assert names[-1] == "0"
    assert "1" not in names
    assert rows.dialogue_of(kept, "32").z == 32

"""Bits over a dialogue's last 256 turns, against plain sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.sensitivity import DialogueRow
from streams.stages import rows

# Steps from turn to turn: mostly the next, now and then far ahead, so that windows slide by little, by much and away.
steps = st.lists(
    st.tuples(st.sampled_from([1, 1, 2, 5, 60, 255, 256, 257, 2**20]), st.booleans(), st.booleans()), max_size=80
)


@given(st.integers(0, 400), steps)
def test_windows_are_sets_of_the_latest_turns(first: int, path: list[tuple[int, bool, bool]]) -> None:
    dialogue = DialogueRow(dialogue_id="d")
    seen: set[int] = set()
    marked: dict[str, set[int]] = {"emitted_as_was": set(), "labelled": set()}
    turn = first
    for step, emitted, labelled in path:
        assert rows.place(dialogue, turn) == "next"
        dialogue = rows.see(dialogue, turn)
        seen.add(turn)
        if emitted:
            dialogue = rows.mark(dialogue, "emitted_as_was", turn)
            marked["emitted_as_was"].add(turn)
        late = min((known for known in seen if known >= dialogue.base), default=turn)
        if labelled:
            dialogue = rows.mark(dialogue, "labelled", late)
            marked["labelled"].add(late)
        live = range(max(0, turn - rows.WINDOW_TURNS + 1), turn + 1)
        for known in {*seen, turn + 1, turn - 1, max(0, live.start - 1)}:
            assert rows.has(dialogue, dialogue.seen, known) is (known in seen and known in live)
            for field, of in marked.items():
                assert rows.has(dialogue, getattr(dialogue, field), known) is (known in of and known in live)
        assert dialogue.seen.bit_length() <= rows.WINDOW_TURNS
        assert rows.place(dialogue, turn) == "duplicate"
        turn += step


@given(st.integers(0, 2**31), st.lists(st.integers(0, 2**31), max_size=20))
def test_any_turn_has_one_place(first: int, others: list[int]) -> None:
    dialogue = rows.see(DialogueRow(dialogue_id="d"), first)
    for turn in others:
        place = rows.place(dialogue, turn)
        assert (place == "next") is (turn > dialogue.last_turn)
        if place == "next":
            dialogue = rows.see(dialogue, turn)
    assert DialogueRow.model_validate_json(dialogue.model_dump_json()) == dialogue

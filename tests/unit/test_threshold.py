from __future__ import annotations

import pytest
from builders import candidate, feedback, judged, policy, reading, rendering, row, scene

from schemas.feedback import Preference
from schemas.sensitivity import Sensitivity
from streams.stages import bridge, regeneration, resonance, rows
from streams.stages.policy import Routes
from streams.stages.threshold import Outcome, tune

RULES = policy()
GATE = RULES.gate


def after(
    p_form: float = 0.9, turn: int = 1, before: Sensitivity | None = None, spoilt: str | None = None
) -> Sensitivity:
    one = scene(turn, spoilt=spoilt)
    return judged(one, reading(p_form=p_form, voice="bodily"), row() if before is None else before, RULES).row


def test_a_rejection_raises_the_threshold_and_is_an_error() -> None:
    tuned = tune(after(), feedback(accepted=False), GATE)
    assert tuned.outcome == "learnt"
    assert (tuned.row.z, tuned.row.dialogues[0].z) == (0.9, 0.9)
    assert (tuned.row.drafts.errors, tuned.row.drafts.pending, tuned.row.drafts.emitted) == (1, 0, 1)
    assert tuned.row.pending == ()
    assert tuned.row.likes == (0, 0, 0, 0)


def test_an_acceptance_lowers_it_and_is_liked() -> None:
    tuned = tune(after(), feedback(accepted=True), GATE)
    assert (tuned.row.z, tuned.row.dialogues[0].z) == (-0.1, -0.1)
    assert (tuned.row.drafts.errors, tuned.row.drafts.pending) == (0, 0)
    assert tuned.row.likes == tuned.row.dialogues[0].likes == (0, 0, 0.1, 0)


@pytest.mark.parametrize(("rating", "errors"), [(0.0, 1), (0.49, 1), (0.5, 0), (1.0, 0)])
def test_a_rating_below_half_is_a_rejection(rating: float, errors: int) -> None:
    assert tune(after(), feedback(rating=rating), GATE).row.drafts.errors == errors


def test_a_second_label_changes_nothing_but_a_counter() -> None:
    once = tune(after(), feedback(accepted=True), GATE).row
    twice = tune(once, feedback(accepted=False), GATE)
    assert twice.outcome == "repeated"
    assert twice.row == once.model_copy(update={"repeated": 1})


def healed(route: str) -> Sensitivity:
    first = judged(scene(), reading(p_form=0.1, intent=0.9 if route == "regeneration" else 0.1), row(), RULES)
    assert first.onward is not None
    if route == "regeneration":
        back = regeneration.regenerate(first.onward, rendering())
    else:
        back = bridge.bridge(first.onward, [candidate()], Routes())
    second = resonance.judge(back, reading(p_form=None), first.row, RULES)
    assert second.decision.verdict == "ready"
    return second.row


@pytest.mark.parametrize(
    "before", [healed("regeneration"), healed("bridge"), after(spoilt="echo"), after(p_form=0.1)],
    ids=["regenerated", "bridged", "spoilt", "not emitted"],
)  # fmt: skip
def test_a_rating_of_other_words_is_inapplicable(before: Sensitivity) -> None:
    tuned = tune(before, feedback(accepted=False), GATE)
    assert tuned.outcome == "inapplicable"
    assert tuned.row == before.model_copy(update={"inapplicable": 1})


@pytest.mark.parametrize("turn", [0, 2, 1000])
def test_a_label_of_an_unseen_turn_is_unknown(turn: int) -> None:
    before = after()
    tuned = tune(before, feedback(turn, accepted=True), GATE)
    assert (tuned.outcome, tuned.row) == ("unknown", before)
    assert tune(before, feedback(dialogue="other", accepted=True), GATE).outcome == "unknown"


def test_a_label_from_before_the_window_is_unknown() -> None:
    late = after(turn=1 + rows.WINDOW_TURNS, before=after())
    tuned = tune(late, feedback(1, accepted=False), GATE)
    assert (tuned.outcome, tuned.row) == ("unknown", late)


def test_a_label_after_expiry_teaches_the_threshold_but_not_the_ledger() -> None:
    strict = policy(mode="strict")
    before = row()
    for turn in range(GATE.expiry_turns + 1):
        before = judged(scene(turn), reading(p_form=0.9 if turn == 0 else 0.4, intent=0.0), before, strict).row
    assert before.pending == ()
    tuned = tune(before, feedback(0, accepted=False), strict.gate)
    assert tuned.outcome == "learnt"
    assert tuned.row.z == 0.9
    assert tuned.row.drafts == before.drafts
    assert tuned.row.likes == before.likes
    assert tune(tuned.row, feedback(0, accepted=False), strict.gate).outcome == "repeated"


def outcome(preference: Preference | None, accepted: bool | None, turn: int = 1) -> tuple[Outcome, Sensitivity]:
    tuned = tune(after(), feedback(turn, accepted=accepted, preference=preference), GATE)
    return tuned.outcome, tuned.row


def test_a_preference_needs_no_scene() -> None:
    told = tune(row(), feedback(7, preference=Preference(register="poetic", brevity=1.0)), GATE)
    assert told.outcome == "told"
    assert (told.row.likes, told.row.brevity) == ((0, 1, 0, 0), 1.0)
    assert (told.row.dialogues[0].likes, told.row.dialogues[0].last_turn) == ((0, 1, 0, 0), -1)


def test_feedback_may_bring_both() -> None:
    what, tuned = outcome(Preference(brevity=0.5), accepted=False)
    assert (what, tuned.brevity, tuned.z) == ("learnt", 0.5, 0.9)

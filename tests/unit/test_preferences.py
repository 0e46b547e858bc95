from __future__ import annotations

import pytest
from builders import row

from schemas.feedback import Preference
from schemas.sensitivity import DialogueRow
from streams.stages import preferences

DIALOGUE = DialogueRow(dialogue_id="d")


def test_dialogue_and_user_are_both_heard() -> None:
    user, dialogue = row(likes=(0.1, 0.5, 0, 0), brevity=0.2), DIALOGUE.model_copy(update={"likes": (0.3, 0, 0, 0)})
    assert preferences.likes(user, dialogue) == (0.3, 0.5, 0, 0)
    assert preferences.brevity(user, dialogue) == 0.2


@pytest.mark.parametrize(("brevity", "codes", "wanted"), [(0, 3, 3), (0.5, 3, 2), (1, 3, 1), (1, 1, 1), (0.5, 5, 3)])
def test_who_likes_it_brief_gets_fewer_codes(brevity: float, codes: int, wanted: int) -> None:
    assert preferences.codes_wanted(row(brevity=brevity), DIALOGUE, codes) == wanted


def test_what_is_accepted_is_liked_a_little_more() -> None:
    once = preferences.accept(DIALOGUE, "bodily", 1.0, 0.1)
    assert once.likes == (0.0, 0.0, 0.1, 0.0)
    assert once.brevity == 0.1
    assert preferences.accept(once, "dry", 0.0, 0.1).likes == (0.1, 0.0, 0.09, 0.0)


def test_a_scene_without_a_voice_says_nothing_of_registers() -> None:
    assert preferences.accept(DIALOGUE, None, 0.0, 0.1) == DIALOGUE


def test_what_is_told_counts_at_once_and_leaves_the_rest() -> None:
    told = preferences.tell(row(likes=(0.5, 0.5, 0, 0), brevity=0.3), Preference(register="symbolic"))
    assert (told.likes, told.brevity) == ((0, 0, 0, 1), 0.3)
    assert preferences.tell(told, Preference(brevity=0.9)).likes == (0, 0, 0, 1)
    assert preferences.tell(told, Preference(brevity=0.0)).brevity == 0.0


@pytest.mark.parametrize(("codes", "most", "brevity"), [(3, 3, 0), (2, 3, 0.5), (1, 3, 1), (5, 3, 0), (1, 1, 0)])
def test_brevity_is_how_far_a_chain_stays_under_its_length(codes: int, most: int, brevity: float) -> None:
    assert preferences.brevity_of(codes, most) == brevity

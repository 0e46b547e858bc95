from __future__ import annotations

import pytest
from builders import row

from schemas.sensitivity import DialogueRow, Sensitivity
from streams.stages import tuner
from streams.stages.policy import Gate, Priors

NONE = Priors()


def levels(user: float, dialogue: float) -> tuple[Sensitivity, DialogueRow]:
    return row(z=user), DialogueRow(dialogue_id="d", z=dialogue)


def theta(user: float = 0.0, dialogue: float = 0.0, **fields: object) -> float:
    return tuner.theta(*levels(user, dialogue), None, Gate.model_validate(fields), NONE)


def test_levels_add_up_and_are_clipped_each() -> None:
    assert theta() == 0.5
    assert theta(user=2.0) == 0.52
    assert theta(dialogue=2.0) == 0.6
    assert theta(user=2.0, dialogue=-2.0) == 0.42
    assert theta(user=1e6) == 0.9
    assert theta(user=-1e6) == 0.1
    assert theta(dialogue=1e6) == 1.0
    assert theta(dialogue=-1e6) == 0.2


def test_the_threshold_stays_a_probability() -> None:
    assert theta(user=1e6, dialogue=1e6) == 1.0
    assert theta(user=-1e6, dialogue=-1e6) == 0.0


def test_a_task_brings_its_prior_and_an_unknown_one_that_of_all() -> None:
    priors = Priors(everyone=0.02, tasks={"support": -0.1})
    shown = {task: tuner.theta(*levels(0, 0), task, Gate(), priors) for task in (None, "support", "chess")}
    assert shown == {None: 0.52, "support": 0.4, "chess": 0.52}


def test_a_new_dialogue_starts_at_its_users_level() -> None:
    user, dialogue = levels(0.0, 0.0)
    for _ in range(10):
        user, dialogue = tuner.learn(user, dialogue, 1, Gate())
    assert dialogue.z == user.z == 9.0
    assert tuner.theta(user, DialogueRow(dialogue_id="new"), None, Gate(), NONE) == 0.59


def test_labels_at_the_promised_rate_leave_the_threshold_where_it_is() -> None:
    user, dialogue = levels(0.0, 0.0)
    for number in range(100):
        user, dialogue = tuner.learn(user, dialogue, int(number % 10 == 0), Gate())
    assert user.z == dialogue.z == 0.0


def test_after_bad_times_the_threshold_comes_back() -> None:
    user, dialogue = levels(0.0, 0.0)
    for _ in range(5):
        user, dialogue = tuner.learn(user, dialogue, 1, Gate())
    high = tuner.theta(user, dialogue, None, Gate(), NONE)
    for _ in range(45):
        user, dialogue = tuner.learn(user, dialogue, 0, Gate())
    assert (high, tuner.theta(user, dialogue, None, Gate(), NONE)) == (0.77, 0.5)


@pytest.mark.parametrize(
    ("voice", "field", "shift"),
    [("poetic", 0.2, 0.04), ("poetic", 0.1499, 0.0), ("dry", 0.9, 0.0), (None, 0.9, 0.0), ("poetic", None, 0.0)],
)
def test_a_liked_register_is_let_off_where_the_field_is_strong(voice: str, field: float, shift: float) -> None:
    assert tuner.leniency((0.0, 0.8, 0.0, 0.0), voice, field, Gate()) == shift  # type: ignore[arg-type]


def test_leniency_is_at_most_a_twentieth() -> None:
    assert tuner.leniency((1.0,) * 4, "symbolic", 1.0, Gate()) == 0.05

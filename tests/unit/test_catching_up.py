"""Feedback waits for the scenes that were there when its partition began."""

from __future__ import annotations

import pytest

from streams.kafka.catching_up import CatchingUp, Ends
from streams.kafka.records import Place

SCENES, FEEDBACK, HEALED = Place("scenes", 3), Place("feedback", 3), Place("regenerate", 3)


def begun() -> CatchingUp:
    one = CatchingUp("scenes", frozenset({"feedback"}))
    one.begin([SCENES, FEEDBACK, HEALED])
    return one


def look(one: CatchingUp, *looks: Ends, still_open: bool = False) -> bool:
    for stands in looks:
        one.look(stands, lambda place: place == SCENES and still_open)
    return FEEDBACK in one.held


def test_feedback_waits_from_the_beginning_on_and_nothing_else_does() -> None:
    assert begun().held == {FEEDBACK}


def test_it_is_read_when_the_end_of_the_beginning_is_committed_whatever_came_since() -> None:
    one = begun()
    assert look(one, {SCENES: (5, 9)}, {SCENES: (8, 20)})
    assert look(one, {SCENES: (9, 30)}, still_open=True)
    assert not look(one, {SCENES: (12, 30)})


@pytest.mark.parametrize("stands", [{}, {SCENES: (None, 9)}, {FEEDBACK: (9, 9)}, {Place("scenes", 2): (9, 9)}])
def test_what_kafka_does_not_say_lets_nothing_go(stands: Ends) -> None:
    assert look(begun(), stands)


def test_nothing_to_catch_up_with_lets_go_at_once() -> None:
    assert not look(begun(), {SCENES: (0, 0)})


def test_what_is_given_up_is_forgotten() -> None:
    one = begun()
    one.forget()
    assert one.held == frozenset()


def test_exactly_once_nothing_waits() -> None:
    one = CatchingUp()
    one.begin([SCENES, FEEDBACK])
    assert one.held == frozenset()

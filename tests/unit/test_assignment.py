from __future__ import annotations

import pytest

from streams.kafka.assignment import AssignmentError, by_number
from streams.kafka.records import Group, Handler, Place


class Reads(Handler[None]):
    def __init__(self, topic: str) -> None:
        self.topic = topic

    prepare = apply = bury = None  # type: ignore[assignment]


ROWS = Group("rows", (Reads("scenes"), Reads("feedback")), None)
OTHERS = Group("others", (Reads("letters"),), None)


def test_partitions_of_a_number_belong_together_and_those_of_other_topics_do_not_count() -> None:
    places = {Place(topic, number) for topic in ("scenes", "feedback") for number in (0, 3)}
    owned = by_number([ROWS, OTHERS], places | {Place("letters", 1), Place("of somebody else", 7)})
    assert owned == {
        ("rows", 0): (ROWS, [Place("scenes", 0), Place("feedback", 0)]),
        ("rows", 3): (ROWS, [Place("scenes", 3), Place("feedback", 3)]),
        ("others", 1): (OTHERS, [Place("letters", 1)]),
    }


def test_a_topic_with_fewer_partitions_is_named_with_what_to_do() -> None:
    places = {Place("scenes", 0), Place("feedback", 0), Place("scenes", 1)}
    with pytest.raises(AssignmentError, match=r"partition 1 of feedback was not .* see `scenestream topics check`"):
        by_number([ROWS], places)

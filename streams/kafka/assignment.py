"""Assignments: what a worker is given of topics whose partitions belong together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streams.kafka.records import Group, Place

# A partition number of a group of topics.
Name = tuple[str, int]


class AssignmentError(Exception):
    """Topics of a group that were not assigned alike; the message says which and what to do."""


def by_number(groups: Iterable[Group], places: set[Place]) -> dict[Name, tuple[Group, Sequence[Place]]]:
    """Return for each partition number of each group its partitions, of all topics; raises AssignmentError."""
    owned: dict[Name, tuple[Group, Sequence[Place]]] = {}
    for group in groups:
        for number in sorted({place.partition for place in places if place.topic in group.topics}):
            wanted = [Place(topic, number) for topic in group.topics]
            missing = [place for place in wanted if place not in places]
            if missing:
                alone = ", ".join(place.topic for place in missing)
                raise AssignmentError(
                    f"partition {number} of {alone} was not assigned together with that of "
                    f"{', '.join(group.topics)}: these topics need the same number of partitions; "
                    "see `scenestream topics check`"
                )
            owned[group.name, number] = (group, wanted)
    return owned

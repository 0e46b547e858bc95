"""What is caught up before other topics are read, where what a crash left half done is done again.

At least once a crash may leave a scene's outcome without its row, and the scene is judged again. Feedback on what came
out may have arrived by then: taken first, it would meet a row that knows nothing of the scene, and the scene one that
was tuned, so that it might come to something else. So whoever begins a partition number reads its feedback only when
the scenes that were there are committed. They are then judged in the order and on the rows that they were judged on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from streams.kafka.records import Place

# Of each partition: where the consumer stands, None where it does not know, and the end that Kafka knows.
Ends = Mapping[Place, tuple[int | None, int]]


@dataclass(slots=True)
class CatchingUp:
    """Which partition numbers have not caught up with a topic since they began; of these, `held` is not read.

    Without a topic to catch up with there are none: exactly once nothing is left half done.
    """

    topic: str | None = None
    held_topics: frozenset[str] = frozenset()
    # The end of the topic as it was at the beginning; None where it was not heard yet.
    _ends: dict[int, int | None] = field(default_factory=dict)

    @property
    def held(self) -> frozenset[Place]:
        """The partitions that are not read yet."""
        # A copy, for the watchdog asks from its own thread.
        return frozenset(Place(topic, number) for number in [*self._ends] for topic in self.held_topics)

    def begin(self, places: Iterable[Place]) -> None:
        """Take note of partitions that are read from their committed offsets now."""
        self._ends |= {place.partition: None for place in places if place.topic == self.topic}

    def look(self, stands: Ends, is_open: Callable[[Place], bool]) -> None:
        """Let go of those that stand at the end of their beginning with no record that is not committed.

        It is the consumer's position that counts, for an end may be a transaction's marker, which is no record.
        """
        for number, noted in [*self._ends.items()]:
            place = Place(self.topic or "", number)
            if place not in stands:
                continue
            position, now = stands[place]
            end = now if noted is None else noted
            if position is None or position < end or is_open(place):
                self._ends[number] = end
            else:
                del self._ends[number]

    def forget(self) -> None:
        """Forget all: their partitions are given up."""
        self._ends.clear()

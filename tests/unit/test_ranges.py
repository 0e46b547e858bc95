from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from streams.kafka.records import Place
from streams.ops.reading.leaders import LeadersAway
from streams.ops.reading.ranges import offsets_at, read_ranges


class Answer:
    """What librdkafka says of a partition; its own class lets nobody set an error."""

    topic = "scenes"

    def __init__(self, partition: int, offset: int, error: KafkaError | None = None) -> None:
        self.partition, self.offset, self.error = partition, offset, error


class Asked:
    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)

    def offsets_for_times(self, *_: object, **__: object) -> list[Answer]:
        return self._answers


def test_a_partition_that_could_not_be_asked_is_not_one_without_young_records() -> None:
    places = [Place("scenes", 0), Place("scenes", 1)]
    good = cast("Consumer", Asked(Answer(0, 7), Answer(1, OFFSET_END)))
    assert offsets_at(good, places, 1.0, 1.0) == {places[0]: 7, places[1]: None}
    away = KafkaError(KafkaError.LEADER_NOT_AVAILABLE)
    with pytest.raises(KafkaException):
        offsets_at(cast("Consumer", Asked(Answer(0, 7), Answer(1, -1, away))), places, 1.0, 1.0)


class Silent:
    """A cluster that answers, and whose second partition nobody leads: what was left of it never comes."""

    def list_topics(self, *_: object, **__: object) -> object:
        partitions = {number: SimpleNamespace(leader=leader) for number, leader in enumerate((1, -1))}
        return SimpleNamespace(topics={"t.scenes": SimpleNamespace(error=None, partitions=partitions)})

    def get_watermark_offsets(self, place: TopicPartition, **_: object) -> tuple[int, int]:
        assert place.partition == 0
        return 0, 9

    def consume(self, *_: object) -> list[object]:
        return []

    def assign(self, _: object) -> None: ...

    def unassign(self) -> None: ...


def test_whoever_reads_what_nobody_leads_is_told_of_it_and_does_not_wait() -> None:
    ranges = {Place("t.scenes", 0): (0, 9), Place("t.scenes", 1): (0, 9)}
    with pytest.raises(LeadersAway, match=r"^t\.scenes, partition 1, cannot be read: "):
        list(read_ranges(cast("Consumer", Silent()), ranges, {"t.scenes": "scenes"}, 0.0))

from __future__ import annotations

from typing import cast

import pytest
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException

from streams.kafka.records import Place
from streams.ops.reading.ranges import offsets_at


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

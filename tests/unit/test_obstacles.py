from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from streams.kafka.records import Place
from streams.ops.reading.leaders import LeadersAway, told_of
from streams.ops.reading.obstacles import Obstacles

NOBODY = KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, "nobody leads it"))
LATE = KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, "its leader is late"))
AWAY = {Place("scenes", 10): NOBODY, Place("scenes", 2): NOBODY, Place("rows", 1): NOBODY, Place("scenes", 0): LATE}


def test_partitions_of_a_topic_are_told_of_together() -> None:
    assert told_of(AWAY) == [
        "rows, partition 1, cannot be read: nobody leads it",
        "scenes, partition 0, cannot be read: its leader is late",
        "scenes, partitions 2, 10, cannot be read: nobody leads it",
    ]
    assert str(LeadersAway(AWAY)) == "; ".join(told_of(AWAY))
    assert told_of({}) == []


def test_what_is_away_is_told_until_a_look_finds_it_again_and_a_fault_until_records_come() -> None:
    obstacles = Obstacles()
    place = Place("scenes", 2)
    obstacles.found({"feedback": "feedback is denied"}, {place: NOBODY})
    obstacles.heard(place, None)
    assert obstacles.hide(place)
    assert obstacles.told() == ("feedback is denied", "scenes, partition 2, cannot be read: nobody leads it")
    obstacles.found({}, {})
    obstacles.heard(place, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert obstacles.hide(place)
    assert len(obstacles.told()) == 1
    obstacles.heard(place, None)
    assert not obstacles.hide(place)
    assert obstacles.told() == ()
    obstacles.heard(place, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    obstacles.forget()
    assert obstacles.told() == ()

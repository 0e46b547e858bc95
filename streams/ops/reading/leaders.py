"""Who leads partitions, and which of them do not answer: one that is away costs its own partitions alone."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.kafka.records import Place
from streams.ops.reading.librdkafka import said


class LeadersAway(Exception):  # noqa: N818 - what it is, not that it is an error
    """Partitions whose leaders do not answer, though Kafka does; the message names them."""

    def __init__(self, why: Mapping[Place, KafkaException]) -> None:
        super().__init__("; ".join(told_of(why)))


def told_of(away: Mapping[Place, KafkaException]) -> list[str]:
    """Return what is told of partitions whose leaders are away, those of a topic together."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for place in sorted(away):
        numbers.setdefault((place.topic, said(away[place])), []).append(place.partition)
    return [
        f"{topic}, partition{'s' * (len(found) > 1)} {', '.join(map(str, found))}, cannot be read: {why}"
        for (topic, why), found in numbers.items()
    ]


def leaders_of(consumer: Consumer, names: Mapping[str, str], timeout_seconds: float) -> dict[Place, int]:
    """Return who leads each partition of those topics that are there, -1 where nobody does; raises KafkaException."""
    found = consumer.list_topics(timeout=timeout_seconds).topics
    return {
        Place(name, number): partition.leader
        for name in names
        if name in found and not found[name].error
        for number, partition in found[name].partitions.items()
    }


def ends_of(consumer: Consumer, place: Place, timeout_seconds: float) -> tuple[int, int]:
    """Return the first offset of a partition and the one that the next record will have; raises KafkaException."""
    ends = consumer.get_watermark_offsets(TopicPartition(*place), timeout=timeout_seconds)
    if ends is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "its leader did not answer in time"))  # noqa: SLF001
    return ends


def ends_by_leader(
    consumer: Consumer, leaders: Mapping[Place, int], timeout_seconds: float
) -> tuple[dict[Place, tuple[int, int]], dict[Place, KafkaException]]:
    """Return the ends of partitions, and what is wrong with those whose leader is away: of each one is waited for."""
    ends: dict[Place, tuple[int, int]] = {}
    silent: dict[int, KafkaException] = {-1: KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))}
    for place, leader in sorted(leaders.items()):
        if leader not in silent:
            try:
                ends[place] = ends_of(consumer, place, timeout_seconds)
            except KafkaException as error:
                silent[leader] = error
    return ends, {place: silent[leaders[place]] for place in sorted(leaders.keys() - ends.keys())}


def silent_leaders(
    consumer: Consumer, leaders: Mapping[Place, int], timeout_seconds: float
) -> dict[int, KafkaException]:
    """Return which of those who lead these partitions do not answer, and why: one partition of each is asked for."""
    asked = {leader: place for place, leader in leaders.items()}
    _, errors = ends_by_leader(consumer, {place: leader for leader, place in asked.items()}, timeout_seconds)
    return {leaders[place]: error for place, error in errors.items()}

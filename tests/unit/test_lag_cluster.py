"""A look at groups of which some do not answer: what is wrong with one is said of that one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient

from streams.ops.lag.cluster import Cluster
from streams.ops.lag.found import Ends, Gone, Slot
from streams.settings import KafkaSettings, OpsSettings

TIMED_OUT = KafkaError(KafkaError._TIMED_OUT, "no coordinator")


class Brokers:
    """Answers about groups; the coordinators of `silent` do not, nor does one broker list its groups if not `whole`."""

    def __init__(self, names: set[str], silent: set[str], *, whole: bool = True) -> None:
        self.names, self.silent, self.whole = names, silent, whole
        self.asked: list[set[int]] = []

    def list_consumer_groups(self, **_: object) -> Future[Any]:
        valid = [SimpleNamespace(group_id=name) for name in self.names]
        return _answered(SimpleNamespace(valid=valid, errors=[] if self.whole else [TIMED_OUT]))

    def describe_consumer_groups(self, names: list[str], **_: object) -> dict[str, Future[Any]]:
        kind = {"state": SimpleNamespace(name="STABLE"), "type": SimpleNamespace(name="CLASSIC")}
        return {name: self._of(name, SimpleNamespace(members=[], **kind)) for name in names}

    def list_consumer_group_offsets(self, asked: list[Any], **_: object) -> dict[str, Future[Any]]:
        return {one.group_id: self._of(one.group_id, SimpleNamespace(topic_partitions=[])) for one in asked}

    def list_offsets(self, specs: dict[Partition, object], **_: object) -> dict[Partition, Future[Any]]:
        self.asked.append({partition.partition for partition in specs})
        return {partition: self._offset(partition.partition) for partition in specs}

    def _offset(self, partition: int) -> Future[Any]:
        """Partition 1 is of a leader whose time is over, 2 of one that is gone, 3 of one that refuses."""
        answers: dict[int, object] = {1: SimpleNamespace(offset=OFFSET_INVALID), 2: KafkaException(TIMED_OUT)}
        answers[3] = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "not for you"))
        return _answered(answers.get(partition, SimpleNamespace(offset=7)))

    def _of(self, name: str, answer: object) -> Future[Any]:
        return _answered(KafkaException(TIMED_OUT) if name in self.silent else answer)


def _answered(answer: object) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
    return future


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(KafkaSettings(bootstrap_servers="127.0.0.1:1"), OpsSettings())
    yield made
    made.close()


def use(cluster: Cluster, brokers: Brokers) -> None:
    cluster.admin = brokers  # type: ignore[assignment]


def test_a_coordinator_that_is_away_is_said_of_its_group_alone(cluster: Cluster) -> None:
    use(cluster, Brokers({"one", "two"}, {"two"}))
    one, two = cluster.groups(["one", "two"])
    assert (one.state, one.error) == ("Stable", None)
    assert (two.state, two.error) == ("Unknown", "no coordinator")
    # The client that lost a coordinator never finds it again.
    assert isinstance(cluster.admin, AdminClient)


def test_where_no_coordinator_answers_kafka_is_away(cluster: Cluster) -> None:
    use(cluster, Brokers({"one", "two"}, {"one", "two"}))
    with pytest.raises(KafkaException):
        cluster.groups(["one", "two"])


def test_groups_are_known_although_one_broker_lists_none(cluster: Cluster) -> None:
    use(cluster, Brokers({"one", "two"}, set()))
    assert cluster._names_known() == ["one", "two"]
    use(cluster, Brokers({"one", "three"}, set(), whole=False))
    assert cluster._names_known() == ["one", "three", "two"]
    with pytest.raises(KafkaException):
        cluster.names()


def test_where_no_broker_lists_any_kafka_is_away(cluster: Cluster) -> None:
    use(cluster, Brokers(set(), set(), whole=False))
    with pytest.raises(KafkaException):
        cluster._names_known()


def test_a_leader_that_is_away_costs_its_partitions_alone(cluster: Cluster) -> None:
    brokers = Brokers(set(), set())
    use(cluster, brokers)
    slots = [Slot("scenes", partition) for partition in range(5)]
    found = cluster.ends([*slots, Slot("other", 0)], {"scenes": [0, 1, 2, 3]})
    assert found == {
        slots[0]: Ends(7, 7, 7),
        slots[1]: "its leader did not answer in time",
        slots[2]: "no coordinator",
        slots[3]: "not for you",
        slots[4]: "the partition is gone",
        Slot("other", 0): "the topic is gone",
    }
    assert [slot for slot, one in found.items() if isinstance(one, Gone)] == [slots[4], Slot("other", 0)]
    # First and next offset are asked for together; who was silent is not waited for once more.
    assert brokers.asked == [{0, 1, 2, 3}, {0, 1, 2, 3}, {0}]


@pytest.mark.parametrize("silent", [1, 2])
def test_where_no_leader_answers_kafka_is_away(cluster: Cluster, silent: int) -> None:
    use(cluster, Brokers(set(), set()))
    with pytest.raises(KafkaException):
        cluster.ends([Slot("scenes", silent)], {"scenes": [silent]})


def test_a_leader_whose_time_is_over_does_not_say_that_nothing_came_since(cluster: Cluster) -> None:
    use(cluster, Brokers(set(), set()))
    slots = [Slot("scenes", 0), Slot("scenes", 1)]
    assert cluster.offsets_at(slots, 0) == {slots[0]: 7, slots[1]: "its leader did not answer in time"}

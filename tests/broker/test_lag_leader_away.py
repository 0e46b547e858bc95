"""A cluster of two brokers of which one dies: its partitions are unknown and say so, all others are seen as before."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic
from kafka_server import JavaBroker, free_port, jars_of_kafka
from lag_scenery import PATIENT, Scenery, of, until
from lent import needs_java

from streams.kafka.clients import BrokerAway
from streams.kafka.records import Place
from streams.ops import tail as tails
from streams.ops.follow.dialogue import Dialogue
from streams.ops.follow.scan import scan
from streams.ops.lag.watch import Watcher
from streams.ops.reading.librdkafka import Complaints
from streams.ops.reading.ranges import read_ranges, reader
from streams.ops.replays.export import export
from streams.ops.tail import Tail
from streams.settings import KafkaSettings
from streams.stages.policy import Gate


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[tuple[JavaBroker, JavaBroker]]:
    """The first is the controller too, and up; the second is not yet, so that all groups are the first's."""
    needs_java("tried with two brokers")
    jars = jars_of_kafka()
    cluster, controller = uuid.uuid4().hex[:22], free_port()
    made = []
    for node in (1, 2):
        port, folder = free_port(), tmp_path / str(node)
        folder.mkdir()
        extra = {"node.id": str(node), "controller.quorum.voters": f"1@localhost:{controller}"}
        if node == 1:
            extra["listeners"] = f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"
        else:
            extra |= {"process.roles": "broker", "listeners": f"PLAINTEXT://127.0.0.1:{port}"}
        made.append(JavaBroker(folder, jars, port, heap_mb=256, extra=extra, cluster=cluster))
    first, second = made
    try:
        first.start()
        yield first, second
    finally:
        second.close()
        first.close()


def test_a_leader_that_died_costs_its_partitions_alone(
    brokers: tuple[JavaBroker, JavaBroker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "_REFRESH_SECONDS", 1.0)
    first, second = brokers
    scenery = Scenery(first.bootstrap)
    scenery.commit("both", scenery.topic("before", 1), {0: 0})
    second.start()
    until(lambda: len(scenery.admin.list_topics().brokers) == 2)
    topic, group = scenery.called("scenes"), scenery.called("both")
    scenery.admin.create_topics([NewTopic(topic, 2, replica_assignment=[[1], [2]])])[topic].result()
    until(lambda: {one.leader for one in scenery.admin.list_topics(topic).topics[topic].partitions.values()} == {1, 2})
    for partition in (0, 1):
        scenery.produce(topic, partition, 30)
    scenery.commit("both", topic, {0: 10, 1: 5})
    kafka = scenery.kafka.model_copy(update={"topic_prefix": scenery.called("")})
    ops = PATIENT.model_copy(update={"timeout_seconds": 4.0, "fetch_seconds": 4.0})
    early, late = (Tail(kafka, Gate(), ops, b"salt") for _ in range(2))
    with closing(Watcher.of(scenery.kafka, ops)) as watcher, closing(early), closing(late):
        early.start()
        whole = watcher.look()
        assert whole.error is None
        assert [one.lag for one in of(whole, group, topic)] == [20, 25]

        until(lambda: early.state().caught_up and early.state().records == 60, 60.0)
        assert early.state().refused == ()
        second.kill()
        scenery.produce(topic, 0, 7)
        look = watcher.look()
        assert look.error is None
        well, silent = of(look, group, topic)
        assert (well.lag, well.last_lag) == (27, None)
        assert (silent.lag, silent.latest, silent.committed, silent.verdict.health) == (None, None, 5, "UNKNOWN")
        assert silent.last_lag == 25
        assert silent.last_at is not None
        # Counted from the look before by a clock that is never set.
        assert whole.at - timedelta(seconds=1) < silent.last_at < whole.at + timedelta(seconds=1)
        why, _, before = silent.verdict.evidence.partition("; ")
        assert why in {"its leader did not answer in time", "Broker: Leader not available"}
        assert before.endswith(" ago 25 records waited")
        both = next(one for one in look.groups if one.group == group)
        assert (both.lag, both.unknown) == (27, 1)
        assert [one.latest for one in look.topics if one.topic == topic] == [{0: 37}]

        # The page's readers, one that has followed all and one that begins now: they follow what can be read, and say
        # what cannot.
        late.start()
        unread = f"{topic}, partition 1, cannot be read: "
        until(lambda: late.state().partitions == 1 and reads(late, 37, unread), 60.0)
        until(lambda: early.state().partitions == 2 and reads(early, 67, unread), 60.0)
        until(lambda: scenery.admin.list_topics(topic).topics[topic].partitions[1].leader == -1, 60.0)
        check_ranges(kafka, topic, unread, tmp_path)

        second.start()
        until(lambda: all(tail.state().caught_up and reads(tail, 67) for tail in (early, late)), 60.0)
        until(lambda: [one.lag for one in of(watcher.look(), group, topic)] == [27, 25], 60.0)


def reads(tail: Tail, records: int, *told: str) -> bool:
    """Return whether a tail has read so many records, and tells what begins like this and nothing else."""
    state = tail.state()
    starts = [one.startswith(begin) for one, begin in zip(state.refused, told, strict=False)]
    return state.error is None and state.records == records and len(state.refused) == len(told) and all(starts)


def check_ranges(kafka: KafkaSettings, topic: str, unread: str, folder: Path) -> None:
    """Who reads a range names the partition and comes to an end: before it reads, and while it does."""
    now, out = datetime.now(UTC), folder / "log.jsonl"
    with pytest.raises(
        BrokerAway, match=rf"Kafka answers at {kafka.bootstrap_servers}, but .*: {unread}.*; nothing was"
    ):
        export(kafka, PATIENT, now - timedelta(hours=1), now, out)
    assert not out.exists()
    *_, found = scan(kafka, PATIENT, Gate(), user="0")
    assert isinstance(found, Dialogue)
    assert (found.whole, [told.startswith(unread) for told in found.refused]) == (False, [True])

    ranges = {Place(topic, partition): (0, 30) for partition in (0, 1)}
    refused: dict[str, str] = {}
    with closing(reader(kafka, Complaints())) as consumer:
        records = [one for one in read_ranges(consumer, ranges, {topic: "scenes"}, 4.0, refused) if one is not None]
    assert [one.offset for one in records] == [*range(30)]
    assert [told.startswith(unread) for told in refused] == [True]

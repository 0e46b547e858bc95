"""Topics, groups and members of a test on a real Kafka, and looks at their lag."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.ops.lag.snapshot import PartitionLag, Snapshot
from streams.ops.lag.watch import Watcher
from streams.settings import KafkaSettings, OpsSettings

PARTITIONS = 12
PATIENT = OpsSettings(timeout_seconds=20.0, fetch_seconds=20.0)


@dataclass
class Scenery:
    """Topics and groups of this module, and the members that stay in them."""

    bootstrap: str
    name: str = field(default_factory=lambda: f"l{uuid.uuid4().hex[:8]}")
    members: list[Consumer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.admin = AdminClient(self.client)
        self.producer = Producer(self.client)

    @property
    def client(self) -> dict[str, str | float]:
        return {"bootstrap.servers": self.bootstrap, "log_level": 0}

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap_servers=self.bootstrap)

    def called(self, name: str) -> str:
        return f"{self.name}.{name}"

    def topic(self, name: str, partitions: int = PARTITIONS, **config: str) -> str:
        topic = self.called(name)
        settings = {key.replace("_", "."): value for key, value in config.items()}
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=settings)])[topic].result()
        until(lambda: len(self.admin.list_topics(topic).topics[topic].partitions) == partitions)
        return topic

    def produce(self, topic: str, partition: int, count: int, at_ms: int = 0) -> None:
        for number in range(count):
            self.producer.produce(topic, b"x", str(number % 3), partition, timestamp=at_ms)
        self.producer.flush()

    def commit(self, group: str, topic: str, offsets: dict[int, int]) -> None:
        places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        asked = [ConsumerGroupTopicPartitions(self.called(group), places)]
        # The coordinator of a group that is new may still be loading; who did not find it once may never do.
        until(lambda: _done(AdminClient(self.client), asked[0]), 120.0)

    def member(self, group: str, topic: str, **options: str) -> Consumer:
        config = {key.replace("_", "."): value for key, value in options.items()}
        member = Consumer(
            {
                **self.client,
                "group.id": self.called(group),
                "client.id": f"{group}-client",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                **config,
            }
        )
        self.members.append(member)
        member.subscribe([topic])
        until(lambda: member.poll(0.2) is not None or len(member.assignment()) > 0)
        return member


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def look(kafka: KafkaSettings, only: str | None = None, ops: OpsSettings = PATIENT) -> Snapshot:
    watcher = Watcher.of(kafka, ops, only)
    try:
        snapshot = watcher.look()
    finally:
        watcher.close()
    assert snapshot.error is None
    return snapshot


def of(snapshot: Snapshot, group: str, topic: str) -> list[PartitionLag]:
    found = next(one for one in snapshot.groups if one.group == group)
    return [one for one in found.partitions if one.topic == topic]


def partitions(scenery: Scenery, group: str, topic: str, ops: OpsSettings = PATIENT) -> list[PartitionLag]:
    name = scenery.called(group)
    return of(look(scenery.kafka, name, ops), name, topic)


def _done(admin: AdminClient, asked: ConsumerGroupTopicPartitions) -> bool:
    try:
        answer = admin.alter_consumer_group_offsets([asked], request_timeout=10.0)[asked.group_id].result()
        return all(one.error is None for one in answer.topic_partitions or [])
    except KafkaException:
        return False

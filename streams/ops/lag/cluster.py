"""A look at the cluster: every group, what it committed, and how far its topics go; all effects are here.

Committed offsets are read before the ends, so a lag is never negative. Whatever is wrong with one group, topic or
partition is said of that one; only a Kafka that does not answer is an exception.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._group import ConsumerGroupDescription
from confluent_kafka.admin._resource import ResourceType

from schemas.topics import SENSITIVITY, TOPICS, dead_topic
from streams.ops.lag import offsets
from streams.ops.lag.found import Ends, Found, FoundGroup, Gone, Member, Point, Retention, Slot, start_of
from streams.ops.lag.oldest import OldestRecords
from streams.ops.reading.librdkafka import Complaints, broker_away, client_options, is_about_connections, said, unusable
from streams.settings import KafkaSettings, OpsSettings
from streams.topology import AGENTS

# As Kafka's own tools call them.
_STATES = {
    "PREPARING_REBALANCING": "PreparingRebalance",
    "COMPLETING_REBALANCING": "CompletingRebalance",
    "STABLE": "Stable",
    "DEAD": "Dead",
    "EMPTY": "Empty",
}
# Configurations hardly change; they are asked for anew after so long.
_RETENTION_SECONDS = 60.0


class Cluster:
    """Clients of one Kafka; close it in the end. Of `only` one group's offsets and records it looks at no others'."""

    def __init__(self, kafka: KafkaSettings, ops: OpsSettings, only: str | None = None) -> None:
        self._kafka = kafka
        self._only = only
        self._ops = ops
        self._complaints = Complaints()
        self._retention: dict[str, Retention | str] = {}
        self._retention_at = float("-inf")
        self._known: set[str] = set()
        self._connect()

    def look(self) -> Found:
        """Return what there is; raises BrokerAway."""
        with self.answering():
            return self._look(time.monotonic())

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Raise BrokerAway, with what the client knows of it, where Kafka does not answer within."""
        self._complaints.last = None
        try:
            yield
        except (KafkaException, TimeoutError) as error:
            self.admin.poll(0)
            self._oldest.close()
            self._connect()
            raise broker_away(self._kafka, self._complaints, said(error)) from error

    def close(self) -> None:
        """Let the clients go."""
        self._oldest.close()

    def names(self) -> list[str]:
        """Return which groups there are; raises KafkaException where a broker does not say which it has."""
        names, error = self._listed()
        if error is not None:
            raise error
        return sorted(names)

    def groups(self, names: Iterable[str]) -> tuple[FoundGroup, ...]:
        """Return these groups and what they committed; raises KafkaException where of none is answered."""
        wanted = list(names)
        if not wanted:
            return ()
        described = self.admin.describe_consumer_groups(wanted, request_timeout=self._seconds)
        offsets: dict[str, Future[ConsumerGroupTopicPartitions]] = {}
        for name in wanted:
            # librdkafka takes one group a request; they are under way together.
            asked = [ConsumerGroupTopicPartitions(name)]
            offsets |= self.admin.list_consumer_group_offsets(asked, request_timeout=self._seconds)
        found = []
        away = []
        for name in wanted:
            try:
                found.append(self._group(name, described[name], offsets[name]))
            except KafkaException as error:
                if is_about_connections(error):
                    away.append(error)
                found.append(FoundGroup(name, "Unknown", "unknown", time.monotonic(), error=said(error)))
        if len(away) == len(wanted):
            raise away[0]
        if away:
            self._connect_admin()
        return tuple(one for one in found if one.state != "Dead" or one.committed)

    def partitions(self) -> tuple[str, dict[str, list[int]]]:
        """Return the cluster's id and the partitions of each topic; raises KafkaException."""
        metadata = self.admin.list_topics(timeout=self._seconds)
        return metadata.cluster_id or "", {name: sorted(one.partitions) for name, one in metadata.topics.items()}

    def ends(self, slots: Iterable[Slot], there: Mapping[str, list[int]]) -> dict[Slot, Ends | str]:
        """Return first and next offsets; of a partition that is not there or whose leader does not answer, why not.

        Raises KafkaException where none answers.
        """
        found: dict[Slot, Ends | str] = {}
        asked = []
        for slot in slots:
            if slot.partition in there.get(slot.topic, ()):
                asked.append(slot)
            else:
                found[slot] = Gone("the partition is gone" if slot.topic in there else "the topic is gone")
        isolation = IsolationLevel[self._ops.isolation.upper()]
        return found | offsets.ends(self.admin, asked, isolation, self._seconds)

    def offsets_at(self, slots: Iterable[Slot], milliseconds: int) -> dict[Slot, int | str]:
        """Return the first offsets of that time or later, -1 where there is none; raises KafkaException."""
        return offsets.at_time(self.admin, slots, milliseconds, self._seconds)

    def alter(self, group: str, offsets: Mapping[Slot, int]) -> dict[Slot, str]:
        """Set a group's offsets; return what was refused and why. Raises KafkaException where all of it was."""
        asked = [ConsumerGroupTopicPartitions(group, [Partition(*slot, offset) for slot, offset in offsets.items()])]
        answer = self.admin.alter_consumer_group_offsets(asked, request_timeout=self._seconds)[group]
        answered = answer.result(self._patience).topic_partitions or []
        return {Slot(one.topic, one.partition): one.error.str() for one in answered if one.error is not None}

    @property
    def _seconds(self) -> float:
        return self._ops.timeout_seconds

    @property
    def _patience(self) -> float:
        # librdkafka keeps to its own deadline; this one is for a client that died.
        return self._ops.timeout_seconds * 2

    def _connect(self) -> None:
        self._connect_admin()
        try:
            self._oldest = OldestRecords(self._kafka, self._ops, self._complaints)
        except KafkaException as error:
            raise unusable(self._kafka, error) from error

    def _connect_admin(self) -> None:
        # librdkafka 2.16 finds no group's coordinator any more after it lost it once: requests of groups time out
        # for ever. A new client does find it.
        try:
            self.admin = AdminClient(client_options(self._kafka, self._complaints))
        except KafkaException as error:
            raise unusable(self._kafka, error) from error

    def _look(self, began: float) -> Found:
        cluster, there = self.partitions()
        names = self._names_known()
        groups = self.groups([self._only] if self._only in names else names)
        at = datetime.now(UTC)
        slots = {slot for group in groups for slot in group.slots}
        ours = {self._kafka.topic(name) for name in (*TOPICS, *(dead_topic(agent.reads) for agent in AGENTS))}
        slots |= {Slot(topic, number) for topic in ours & there.keys() for number in there[topic]}
        ends_at = time.monotonic()
        ends = self.ends(sorted(slots), there)
        oldest = self._oldest.find(_waiting(groups, ends), ends)
        retention = self._retentions({slot.topic for slot in slots if slot.topic in there})
        return Found(
            cluster=self._ops.cluster_name or cluster,
            at=at,
            ends_at=ends_at,
            took_seconds=time.monotonic() - began,
            groups=groups,
            ends=ends,
            oldest=oldest,
            retention=retention,
            changelogs=frozenset({self._kafka.topic(SENSITIVITY)}),
        )

    def _listed(self) -> tuple[set[str], KafkaException | None]:
        listed = self.admin.list_consumer_groups(request_timeout=self._seconds).result(self._patience)
        # Each error is a KafkaError, which is no Exception: nobody would catch it.
        error = KafkaException(listed.errors[0]) if listed.errors else None
        return {one.group_id for one in listed.valid}, error

    def _names_known(self) -> list[str]:
        """Return which groups there are; where a broker does not say, those too that were there before."""
        names, error = self._listed()
        if error is not None:
            names |= self._known
            if not names:
                raise error
        self._known = names
        return sorted(names)

    def _group(
        self, name: str, described: Future[ConsumerGroupDescription], offsets: Future[ConsumerGroupTopicPartitions]
    ) -> FoundGroup:
        about = described.result(self._patience)
        committed = {
            Slot(one.topic, one.partition): one.offset
            for one in offsets.result(self._patience).topic_partitions or []
            if one.offset >= 0
        }
        owners = {}
        members = []
        for one in about.members:
            member = Member(one.member_id, one.client_id, one.host)
            members.append(member)
            for partition in one.assignment.topic_partitions if one.assignment else ():
                owners[Slot(partition.topic, partition.partition)] = member
        state = _STATES.get(about.state.name, "Unknown")
        protocol = about.type.name.lower()
        return FoundGroup(name, state, protocol, time.monotonic(), tuple(members), owners, committed)

    def _retentions(self, topics: set[str]) -> Mapping[str, Retention | str]:
        if time.monotonic() - self._retention_at > _RETENTION_SECONDS:
            self._retention, self._retention_at = {}, time.monotonic()
        missing = sorted(topics - self._retention.keys())
        if missing:
            asked = [ConfigResource(ResourceType.TOPIC, topic) for topic in missing]
            answers = self.admin.describe_configs(asked, request_timeout=self._seconds)
            self._retention |= {resource.name: self._retention_of(answer) for resource, answer in answers.items()}
        return self._retention

    def _retention_of(self, answer: Future[Mapping[str, object]]) -> Retention | str:
        try:
            config = answer.result(self._patience)
        except KafkaException as error:
            return said(error)
        value = {name: str(getattr(config[name], "value", "")) for name in ("cleanup.policy", "retention.ms")}
        size = int(str(getattr(config["retention.bytes"], "value", "-1")))
        return Retention(value["cleanup.policy"], int(value["retention.ms"]), size)


def _waiting(groups: Iterable[FoundGroup], ends: Mapping[Slot, Ends | str]) -> set[Point]:
    points = set()
    for group in groups:
        for slot, committed in group.committed.items():
            end = ends[slot]
            if isinstance(end, Ends) and committed < end.latest:
                points.add(start_of(slot, committed, end))
    return points

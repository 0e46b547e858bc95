"""Topics: what each must be like, making those that are missing, and finding those that are wrong.

Topics that share keys must have the same number of partitions: only then does a key's scene meet its feedback and its
row at one worker. That number is never changed here, for it would send keys to other partitions than their rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from schemas import topics
from streams.kafka.clients import denied_in
from streams.settings import KafkaSettings
from streams.topology import AGENTS

_HOUR_MS = 3_600_000
# A dead letter carries its message untouched, and on top where it was and why it died.
DEAD_MARGIN_BYTES = 64 * 1024
_AT_LEAST = frozenset({"max.message.bytes", "retention.ms", "min.insync.replicas"})
_ENDLESS = "-1"
# A broker learns of a new topic a little after the controller has made it.
_SEEN_WITHIN_TRIES, _TRY_SECONDS = 100, 0.1


class TopicError(Exception):
    """A topic that could not be made; the message says which and why."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic must be like; `config` in Kafka's own names."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """What a topic is like; None where it is not there, or where Kafka hides it from this user (`denied`)."""

    spec: TopicSpec
    partitions: int | None = None
    replication: int | None = None
    config: Mapping[str, str] | None = None
    denied: bool = False

    def faults(self) -> tuple[str, ...]:
        """Return what is wrong with it, each with what to do; nothing where all is right."""
        if self.partitions is None:
            return ("is not there",)
        found = tuple(fault for fault in (self._partition_fault(), self._replication_fault()) if fault)
        if self.denied:
            return (*found, "does not say how it is configured; an access rule has to allow DescribeConfigs on it")
        return found + tuple(
            self._config_fault(name, wanted)
            for name, wanted in self.spec.config.items()
            if not _holds(name, (self.config or {}).get(name), wanted)
        )

    def _partition_fault(self) -> str | None:
        if self.partitions == self.spec.partitions:
            return None
        return (
            f"has {self.partitions} partitions, not {self.spec.partitions}: its keys would not meet their rows; "
            "make it anew, or set SCENESTREAM_KAFKA__PARTITIONS"
        )

    def _replication_fault(self) -> str | None:
        if self.replication is not None and self.replication >= self.spec.replication:
            return None
        return f"is held {self.replication} times, not {self.spec.replication}; reassign its replicas"

    def _config_fault(self, name: str, wanted: str) -> str:
        given = (self.config or {}).get(name)
        least = "at least " if name in _AT_LEAST else ""
        return f"has {name}={given}, not {least}{wanted}; alter it with kafka-configs"


def faults(found: Sequence[Found]) -> list[str]:
    """Return what is wrong with topics, each with what to do; the missing are one fault, and the hidden another."""
    missing = [one.spec.name for one in found if one.partitions is None and not one.denied]
    unseen = [one.spec.name for one in found if one.partitions is None and one.denied]
    rest = [f"{one.spec.name} {fault}" for one in found if one.partitions is not None for fault in one.faults()]
    if missing:
        are, them = ("are", "them") if len(missing) > 1 else ("is", "it")
        rest.insert(0, f"{', '.join(missing)} {are} not there; `scenestream topics create` makes {them}")
    if unseen:
        rest.append(
            f"{', '.join(unseen)}: Kafka shows nothing of this to this user; access rules have to allow Describe, "
            "DescribeConfigs, Read and Write"
        )
    return rest


class Admin(Protocol):
    """What is asked of aiokafka's admin client."""

    async def create_topics(self, new_topics: list[NewTopic]) -> object:
        """Make topics."""

    async def describe_topics(self, topics: list[str] | None = None) -> list[dict[str, object]]:
        """Return what topics are like."""

    async def describe_configs(self, config_resources: list[ConfigResource]) -> Sequence[object]:
        """Return how topics are configured."""


def specs(kafka: KafkaSettings) -> tuple[TopicSpec, ...]:
    """Return every topic of the map, the dead topics of those that agents read, and the suspects'."""
    read = [agent.reads for agent in AGENTS]
    return tuple(
        TopicSpec(kafka.topic(name), kafka.partitions, kafka.topics.replication, _config(name, kafka))
        for name in (*topics.TOPICS, topics.SUSPECT, *map(topics.dead_topic, read))
    )


async def create(admin: Admin, wanted: Sequence[TopicSpec]) -> list[str]:
    """Make the topics that are missing and return their names; raises TopicError where one cannot be made."""
    there = {found.spec.name for found in await look(admin, wanted) if found.partitions is not None}
    missing = [spec for spec in wanted if spec.name not in there]
    if not missing:
        return []
    asked = [NewTopic(one.name, one.partitions, one.replication, topic_configs=dict(one.config)) for one in missing]
    answer = await admin.create_topics(asked)
    for name, code, *said in answer.topic_errors:  # type: ignore[attr-defined]
        # Two may make the same topics at once.
        if code and for_code(code).__name__ != "TopicAlreadyExistsError":
            raise TopicError(f"topic {name} cannot be made: {said[0] if said and said[0] else for_code(code).__name__}")
    for _ in range(_SEEN_WITHIN_TRIES):
        if all(found.partitions for found in await look(admin, wanted)):
            break
        await asyncio.sleep(_TRY_SECONDS)
    return [spec.name for spec in missing]


async def look(admin: Admin, wanted: Sequence[TopicSpec]) -> list[Found]:
    """Return what each of the topics is like."""
    described = {str(one["topic"]): one for one in await admin.describe_topics()}
    configs, denied = await _configs(admin, [spec.name for spec in wanted])
    return [
        _found(spec, described[spec.name], configs.get(spec.name, {}), denied=spec.name in denied)
        if spec.name in described
        else Found(spec, denied=spec.name in denied)
        for spec in wanted
    ]


def _found(spec: TopicSpec, described: Mapping[str, object], config: Mapping[str, str], *, denied: bool) -> Found:
    partitions = described["partitions"]
    assert isinstance(partitions, list)  # noqa: S101 - so says Kafka's protocol
    replicas = min((len(partition["replicas"]) for partition in partitions), default=0)
    return Found(spec, len(partitions), replicas, config, denied)


async def _configs(admin: Admin, names: Sequence[str]) -> tuple[dict[str, dict[str, str]], set[str]]:
    """Return how topics are configured, and which of them this user may not ask about."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    answers = await admin.describe_configs(asked)
    for answer in answers:
        for _, _, _, name, entries in answer.resources:  # type: ignore[attr-defined]
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found, {*denied_in(answers)}


def _config(name: str, kafka: KafkaSettings) -> dict[str, str]:
    chosen = kafka.topics
    dead = name.endswith(topics.dead_topic(""))
    config = {
        "max.message.bytes": str(chosen.max_message_bytes + (DEAD_MARGIN_BYTES if dead else 0)),
        "min.insync.replicas": str(chosen.min_insync_replicas),
    }
    if name in {topics.SENSITIVITY, topics.SUSPECT}:
        # They are restored by reading the whole topic: it is kept short.
        return {**config, "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2", "segment.ms": str(_HOUR_MS)}
    hours = chosen.dead_retention_hours if dead else chosen.retention_hours
    return {**config, "cleanup.policy": "delete", "retention.ms": str(hours * _HOUR_MS)}


def _holds(name: str, given: str | None, wanted: str) -> bool:
    if given is None or name not in _AT_LEAST:
        return given == wanted
    return given == _ENDLESS or int(given) >= int(wanted)

from __future__ import annotations

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kafka_server import Broker
from typer.testing import CliRunner

from schemas.topics import TOPICS
from streams.cli import topics
from streams.kafka.clients import BrokerAway


@pytest.fixture
def prefix(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"t{uuid.uuid4().hex[:8]}."
    monkeypatch.setenv("SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap)
    monkeypatch.setenv("SCENESTREAM_KAFKA__TOPIC_PREFIX", name)
    monkeypatch.setenv("COLUMNS", "200")
    return name


async def _make(bootstrap: str, topic: NewTopic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([topic])
    await admin.close()


def test_topics_are_made_once_and_pass_the_check(prefix: str) -> None:
    missing = CliRunner().invoke(topics.app, ["check"])
    assert missing.exit_code == 1
    assert f", {prefix}sensitivity, " in missing.output
    assert missing.output.count("are not there; `scenestream topics create` makes them") == 1
    first = CliRunner().invoke(topics.app, ["create"])
    assert first.exit_code == 0, first.output
    assert first.output.count("made") == len(TOPICS) + 5
    assert "the latest of each key" in first.output
    again = CliRunner().invoke(topics.app, ["create"])
    assert again.exit_code == 0
    assert "made" not in again.output
    assert CliRunner().invoke(topics.app, ["check"]).exit_code == 0


def test_a_wrong_number_of_partitions_is_told_and_not_mended(prefix: str, broker: Broker) -> None:
    asyncio.run(_make(broker.bootstrap, NewTopic(f"{prefix}feedback", 3, 1)))
    for command in ("create", "check"):
        told = CliRunner().invoke(topics.app, [command])
        assert told.exit_code == 1
        assert f"{prefix}feedback has 3 partitions, not 4" in told.output


def test_a_changelog_that_is_not_compacted_is_told(prefix: str, broker: Broker) -> None:
    asyncio.run(_make(broker.bootstrap, NewTopic(f"{prefix}sensitivity", 4, 1)))
    told = CliRunner().invoke(topics.app, ["create"])
    assert told.exit_code == 1
    assert f"{prefix}sensitivity has cleanup.policy=delete, not compact" in told.output


def test_a_dead_topic_takes_what_its_source_takes_and_more(prefix: str, broker: Broker) -> None:
    assert CliRunner().invoke(topics.app, ["create"]).exit_code == 0

    async def fill() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, max_request_size=2**24)
        await producer.start()
        await producer.send_and_wait(
            f"{prefix}scenes.dead", b"x" * 2**20, headers=[("__dlq.errors.message", b"y" * 2**15)]
        )
        await producer.stop()

    asyncio.run(fill())


def test_a_broker_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    told = CliRunner().invoke(topics.app, ["check"])
    assert isinstance(told.exception, BrokerAway)
    assert "no Kafka answers at 127.0.0.1:1" in str(told.exception)

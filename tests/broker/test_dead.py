from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from kafka_server import Broker
from typer.testing import CliRunner, Result

from streams.cli import dead, topics
from streams.kafka.dead_letters import Failure, bury
from streams.kafka.graveyard import Choice
from streams.kafka.redrive import RedriveError, Redriven, redrive, waiting
from streams.kafka.transactions import append
from streams.runtimes.placing import usual_partition
from streams.settings import Settings


class Sent:
    """A message as it stood on `scenes`."""

    partition, offset, timestamp = 1, 7, 0

    def __init__(self, topic: str, text: str, redrives: int = 0) -> None:
        self.topic = topic
        self.key: bytes | None = b"u"
        self.value: bytes | None = json.dumps({"type": "scene", "draft": text}).encode()
        counted = [("redrive.count", b"%d" % redrives)] if redrives else []
        # Any client may send a header without a value.
        self.headers: list[tuple[str, bytes | None]] = [("traceparent", b"00-1-2-01"), ("empty", None), *counted]


@pytest.fixture
def prefix(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> str:
    return _named(broker, monkeypatch)


def _named(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"d{uuid.uuid4().hex[:8]}."
    monkeypatch.setenv("SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap)
    monkeypatch.setenv("SCENESTREAM_KAFKA__TOPIC_PREFIX", name)
    monkeypatch.setenv("SCENESTREAM_KAFKA__GROUP", name)
    monkeypatch.setenv("COLUMNS", "240")
    assert CliRunner().invoke(topics.app, ["create"]).exit_code == 0
    return name


async def _bury(bootstrap: str, sent: Sent, reason: str, day: int = 1) -> None:
    failure = Failure("g", "resonance", reason, "why", datetime(2026, 3, day, tzinfo=UTC))
    letter = bury(sent, failure)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=16 * 2**20) as producer:
        # As workers bury.
        await asyncio.gather(*await append(producer, [letter]))


async def _delete(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        for _ in range(100):
            if topic not in await admin.list_topics():
                break
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def _read(bootstrap: str, topic: str, count: int) -> list[Any]:
    reader = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await reader.start()
    try:
        return [await asyncio.wait_for(reader.getone(), 20) for _ in range(count)]
    finally:
        await reader.stop()


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(dead.app, list(arguments))


def test_letters_are_listed_shown_and_sent_back_once(prefix: str, broker: Broker) -> None:
    assert _run("list").output == "no dead letters\n"
    asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}scenes", "My secret."), "unknown_code"))
    asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}feedback", "Yours."), "ValueError", day=3))

    listed = [json.loads(line) for line in _run("list", "--json").output.splitlines()]
    assert {one["reason"] for one in listed} == {"unknown_code", "ValueError"}
    assert listed[0]["source"] == f"{prefix}scenes:1:7"
    place = listed[0]["letter"]
    assert "secret" not in _run("list").output + _run("show", place).output
    assert "My secret." in _run("show", place, "--texts").output
    assert _run("show", f"{prefix}scenes.dead:0:99").exit_code == 1

    for chosen, count in (
        (["--reason", "ValueError"], "1 dead letter"),
        (["--since", "2026-03-02T00:00"], "1 dead letter"),
        (["--topic", "scenes"], "1 dead letter"),
        (["--max", "1"], "1 dead letter"),
        (["--since", "1h"], "0 dead letters"),
    ):
        told = _run("redrive", "--dry-run", *chosen).output
        assert f"{count} would be sent back" in told
    assert "1 dead letter was sent back" in _run("redrive", "--topic", "scenes").output
    [back] = asyncio.run(_read(broker.bootstrap, f"{prefix}scenes", 1))
    assert back.value == Sent("", "My secret.").value
    assert list(back.headers) == [*Sent("", "").headers, ("redrive.count", b"1"), ("redrive.deliveries", b"1")]
    # Where it was, and not where our own partitioner would put its key.
    assert back.partition == Sent.partition != usual_partition(b"u", 4)
    assert "0 dead letters were sent back" in _run("redrive", "--topic", "scenes").output
    assert [json.loads(line)["reason"] for line in _run("list", "--json").output.splitlines()] == ["ValueError"]


def test_what_comes_back_dead_too_often_is_held_back(prefix: str, broker: Broker) -> None:
    asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}scenes", "Again.", redrives=3), "duplicate"))
    asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}scenes", "Again.", redrives=2), "duplicate"))
    told = _run("redrive")
    assert told.exit_code == 1
    assert "1 dead letter was sent back" in told.output
    assert "1 held back: sent back 3 times" in told.output


def test_so_many_at_most_are_those_that_are_sent(prefix: str, broker: Broker) -> None:
    """Three that are held back lie before the one that waits, and hide it from nobody."""
    for _ in range(3):
        asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}scenes", "Again.", redrives=3), "duplicate"))
    asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}scenes", "First."), "duplicate", day=2))
    told = _run("redrive", "--max", "1")
    assert "1 dead letter was sent back" in told.output
    assert asyncio.run(_read(broker.bootstrap, f"{prefix}scenes", 1))[0].value == Sent("", "First.").value


def test_what_kafka_refuses_stays_and_keeps_no_other(prefix: str, broker: Broker) -> None:
    """Its dead topic takes a little more than the topic that it would go back to."""
    for text in ("a", "x" * (2**20 + 30_000), "b", "c"):
        asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}scenes", text), "too_long"))
    told = _run("redrive")
    assert told.exit_code == 1
    assert "3 dead letters were sent back" in told.output
    assert "stays, for Kafka refuses it: MessageSizeTooLargeError" in told.output
    back = asyncio.run(_read(broker.bootstrap, f"{prefix}scenes", 3))
    assert {one.value for one in back} == {Sent("", text).value for text in "abc"}
    [left] = [json.loads(line) for line in _run("list", "--json").output.splitlines()]
    assert left["bytes"] > 2**20
    again = _run("redrive")
    assert (again.exit_code, "0 dead letters were sent back" in again.output) == (1, True)


def test_what_has_no_key_is_sent_back_as_it_was(prefix: str, broker: Broker) -> None:
    """One that has no value either is sent as well, and one that is too large for its topic keeps none of them."""
    values = [b"{}", None, b"x" * (2**20 + 30_000), b"[]"]
    for value in values:
        keyless = Sent(f"{prefix}scenes", "")
        keyless.key, keyless.value = None, value
        asyncio.run(_bury(broker.bootstrap, keyless, "ValueError"))
    asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}scenes", "good"), "ValueError"))
    told = _run("redrive")
    assert (told.exit_code, "4 dead letters were sent back" in told.output) == (1, True)
    back = asyncio.run(_read(broker.bootstrap, f"{prefix}scenes", 4))
    sent = {(None, b"{}"), (None, None), (None, b"[]"), (b"u", Sent("", "good").value)}
    assert {(one.key, one.value) for one in back} == sent
    assert {one.partition for one in back} == {Sent.partition}
    [left] = [json.loads(line) for line in _run("list", "--json").output.splitlines()]
    assert left["bytes"] > 2**20


def test_a_topic_that_is_gone_keeps_its_letters_and_no_others(prefix: str, broker: Broker) -> None:
    asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}feedback", "a"), "ValueError"))
    asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}scenes", "good"), "ValueError"))
    asyncio.run(_delete(broker.bootstrap, f"{prefix}feedback"))
    told = _run("redrive")
    assert told.exit_code == 1
    assert "1 dead letter was sent back" in told.output
    assert f"{prefix}feedback is not there; `scenestream topics create` makes it" in told.output
    [left] = [json.loads(line) for line in _run("list", "--json").output.splitlines()]
    assert left["letter"].startswith(f"{prefix}feedback.dead:")


def test_nobody_marks_a_letter_but_who_sent_it_back(prefix: str, broker: Broker) -> None:
    """A message without a value brings the header of a mark along; it is buried like any other."""
    forged = Sent(f"{prefix}scenes", "")
    forged.value = None
    forged.headers = [("__dlq.redriven.offset", b"0"), ("__dlq.errors.exception", b"forged")]
    asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}scenes", "First."), "ValueError"))
    asyncio.run(_bury(broker.bootstrap, forged, "tombstone"))
    listed = [json.loads(line) for line in _run("list", "--json").output.splitlines()]
    assert [one["reason"] for one in listed] == ["ValueError", "tombstone"]


def test_who_comes_second_sends_nothing_twice_and_ends_the_first(prefix: str, broker: Broker) -> None:
    kafka = Settings().kafka
    for text in "abcdef":
        asyncio.run(_bury(broker.bootstrap, Sent(f"{prefix}scenes", text), "ValueError"))

    async def both() -> tuple[Redriven, list[Redriven | BaseException]]:
        chosen = (await waiting(kafka, Choice((f"{prefix}scenes.dead",)), 100)).letters
        first = await redrive(kafka, chosen[:3])
        # These two chose before the first was done.
        return first, await asyncio.gather(redrive(kafka, chosen), redrive(kafka, chosen), return_exceptions=True)

    first, rest = asyncio.run(both())
    assert len(first.sent) == 3
    ended = [one for one in rest if isinstance(one, BaseException)]
    assert [one for one in ended if not (isinstance(one, RedriveError) and "another redrive" in str(one))] == []
    assert len(ended) < 2
    back = asyncio.run(_read(broker.bootstrap, f"{prefix}scenes", 6))
    assert {one.value for one in back} == {Sent("", text).value for text in "abcdef"}
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(_read(broker.bootstrap, f"{prefix}scenes", 7), 3))


def test_a_letter_of_ten_megabytes_is_told_in_a_few_words_and_sent_back_whole(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENESTREAM_KAFKA__TOPICS__MAX_MESSAGE_BYTES", str(12 * 2**20))
    prefix = _named(broker, monkeypatch)
    sent = Sent(f"{prefix}scenes", "x" * 10 * 2**20)
    asyncio.run(_bury(broker.bootstrap, sent, "too_long"))
    [listed] = [json.loads(line) for line in _run("list", "--json").output.splitlines()]
    shown = _run("show", listed["letter"])
    assert shown.exit_code == 0
    assert "<10485760 characters>" in shown.output
    assert len(shown.output) < 4000
    assert "1 dead letter was sent back" in _run("redrive").output
    [back] = asyncio.run(_read(broker.bootstrap, f"{prefix}scenes", 1))
    assert back.value == sent.value

"""Lag against Kafka's own tool on the same Kafka at rest, and what happens where something is in the way."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AclOperation, ResourceType
from guarded import allow
from kafka_server import Broker, BrokerError, JavaBroker, free_port, jars_of_kafka
from lag_scenery import PARTITIONS, PATIENT, Scenery, look, of, partitions, until
from lent import needs_java
from pydantic import SecretStr
from typer.testing import CliRunner

from streams.cli.app import app
from streams.kafka.clients import BrokerAway
from streams.ops.lag.reset import ResetError
from streams.ops.lag.snapshot import Snapshot
from streams.ops.lag.watch import Watcher
from streams.settings import KafkaSettings, OpsSettings

HOUR_MS = 3_600_000
SECRET = "not-told-to-anyone"  # noqa: S105 - of a broker that lives for a test


class Row(NamedTuple):
    """What both tools say of a partition, in the words of Kafka's."""

    committed: str
    end: str
    lag: str
    member: str
    host: str
    client: str


def theirs(bootstrap: str, *groups: str) -> dict[tuple[str, str, int], Row]:
    """What `kafka-consumer-groups --describe` says."""
    tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
    java = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{jars_of_kafka()}/*", tool, "--bootstrap-server", bootstrap]
    named = [part for group in groups for part in ("--group", group)]
    ran = subprocess.run([*java, "--describe", *named], capture_output=True, text=True, check=True)
    lines = [line.split() for line in ran.stdout.splitlines()]
    rows = [line for line in lines if len(line) == 9 and line[0] != "GROUP"]
    return {(row[0], row[1], int(row[2])): Row(*row[3:]) for row in rows}


def ours(snapshot: Snapshot, *groups: str) -> dict[tuple[str, str, int], Row]:
    def text(value: object) -> str:
        return "-" if value is None else str(value)

    return {
        (group.group, one.topic, one.partition): Row(
            *map(text, (one.committed, one.latest, one.lag, one.member, one.host, one.client))
        )
        for group in snapshot.groups
        if group.group in groups
        for one in group.partitions
    }


def seen(watcher: Watcher, holds: Callable[[Snapshot], bool], seconds: float = 60.0) -> Snapshot:
    """The first snapshot of which that is so."""
    deadline, newest = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        newest = watcher.wait_newer(newest, 5.0) or newest
        if newest is not None and holds(newest):
            return newest
    raise AssertionError(newest and (newest.error, newest.looks, newest.failures, newest.at))


@pytest.fixture(scope="module")
def scenery(broker: Broker) -> Iterator[Scenery]:
    one = Scenery(broker.bootstrap)
    yield one
    for member in one.members:
        member.close()


@pytest.fixture
def bootstrap(scenery: Scenery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS", scenery.bootstrap)
    monkeypatch.setenv("SCENESTREAM_OPS__TIMEOUT_SECONDS", "20")


def test_lag_at_rest_is_that_of_kafkas_own_tool_but_for_markers(scenery: Scenery) -> None:
    needs_java("compared with Kafka's own tool")
    plain = scenery.topic("plain")
    compacted = scenery.topic("compacted", cleanup_policy="compact")
    transactional = scenery.topic("transactional")
    for partition in range(PARTITIONS):
        scenery.produce(plain, partition, 10 + partition)
        scenery.produce(compacted, partition, 20)
    sender = Producer({**scenery.client, "transactional.id": scenery.name})
    sender.init_transactions(30)
    sender.begin_transaction()
    for partition in range(PARTITIONS):
        for _ in range(5):
            sender.produce(transactional, b"x", partition=partition)
    sender.commit_transaction(30)
    # A group that nobody is in: behind, caught up, behind what was deleted; on a compacted and a transactional topic.
    scenery.commit("empty", plain, {partition: partition for partition in range(PARTITIONS)})
    scenery.commit("empty", compacted, dict.fromkeys(range(PARTITIONS), 7))
    scenery.commit("empty", transactional, dict.fromkeys(range(PARTITIONS), 5))
    deleted = [TopicPartition(plain, 6, 9), TopicPartition(plain, 7, 17)]
    for answer in scenery.admin.delete_records(deleted).values():
        answer.result()
    # A group of the new protocol, with a partition that is paused; and one that never committed anything.
    reader = scenery.member("paused", plain, group_protocol="consumer")
    until(lambda: reader.poll(0.1) is not None or len(reader.assignment()) == PARTITIONS)
    reader.pause([TopicPartition(plain, 3)])
    ends = {partition: 10 + partition for partition in range(PARTITIONS)}
    reader.commit(
        offsets=[TopicPartition(plain, p, 2 if p == 3 else end) for p, end in ends.items()], asynchronous=False
    )
    scenery.member("fresh", plain)
    groups = [scenery.called(name) for name in ("empty", "paused", "fresh")]
    until(lambda: len(ours(look(scenery.kafka), *groups)) == 5 * PARTITIONS)

    expected = theirs(scenery.bootstrap, *groups)
    snapshot = look(scenery.kafka)
    found = ours(snapshot, *groups)

    assert len(expected) == 5 * PARTITIONS
    assert {place: row for place, row in found.items() if place[1] != transactional} == {
        place: row for place, row in expected.items() if place[1] != transactional
    }
    markers = [place for place in expected if place[1] == transactional]
    assert {expected[place].lag for place in markers} == {"1"}
    assert {found[place].lag for place in markers} == {"0"}
    assert {(one.age_seconds, one.certainty) for one in of(snapshot, groups[0], transactional)} == {(0.0, "exact")}
    # What the tool does not know.
    behind = of(snapshot, groups[0], plain)
    assert [one.lost for one in behind] == [0] * 6 + [3, 10] + [0] * 4
    assert behind[6].lag == 10
    # All that group had left to read of partition 7 is gone: nothing waits, and what is lost is said.
    assert (behind[7].lag, behind[7].age_seconds, behind[7].certainty) == (10, 0.0, "exact")
    assert of(snapshot, groups[1], plain)[3].lag == 11
    fresh = next(one for one in snapshot.groups if one.group == groups[2])
    assert {one.lag for one in fresh.partitions} == {None}
    # Of partition 7 nothing is left, so there nothing is unread either.
    assert (fresh.lag, fresh.unknown, fresh.members) == (None, PARTITIONS - 1, 1)
    assert {one.group: one.protocol for one in snapshot.groups if one.group in groups} == {
        groups[0]: "classic",
        groups[1]: "consumer",
        groups[2]: "classic",
    }


def test_age_is_that_of_the_record_at_the_committed_offset(scenery: Scenery) -> None:
    topic = scenery.topic("aged", 4, retention_ms=str(3 * HOUR_MS))
    now = int(time.time() * 1000)
    for partition, at in enumerate((now - HOUR_MS, now + HOUR_MS, now)):
        scenery.produce(topic, partition, 3, at - HOUR_MS)
        scenery.produce(topic, partition, 3, at)
    scenery.commit("aging", topic, {0: 3, 1: 3, 2: 6, 3: 0})
    scenery.commit("elsewhere", topic, {0: 1, 1: 0, 2: 5})
    snapshot = look(scenery.kafka)
    old, future, done, nothing = of(snapshot, scenery.called("aging"), topic)
    # Groups at other places of the same partitions, in the same look.
    older, now_old, last = of(snapshot, scenery.called("elsewhere"), topic)
    assert (older.lag, now_old.lag, last.lag) == (5, 6, 1)
    assert older.age_seconds == pytest.approx(7200, abs=60)
    assert older.age_method == "CreateTime of the record at offset 1"
    assert now_old.age_seconds == pytest.approx(0, abs=60)
    assert last.certainty == "exact"
    assert old.age_seconds == pytest.approx(3600, abs=60)
    assert old.age_method == "CreateTime of the record at offset 3"
    assert old.horizon_seconds == pytest.approx(7200, abs=60)
    assert future.age_seconds is None
    assert "ahead of the clock here" in future.age_method
    assert {one.age_seconds for one in (done, nothing)} == {0.0}
    assert future.lag == 3


def test_the_age_of_a_record_without_a_timestamp_is_not_known(scenery: Scenery) -> None:
    """It waits all the same, and how long it is kept cannot be said either."""
    topic = scenery.topic("timeless", 1)

    async def put() -> None:
        async with AIOKafkaProducer(bootstrap_servers=scenery.bootstrap) as producer:
            batch = producer.create_batch()
            for _ in range(150):
                assert batch.append(timestamp=-1, key=b"k", value=b"x") is not None
            await (await producer.send_batch(batch, topic, partition=0))

    asyncio.run(put())
    scenery.commit("timeless", topic, {0: 5})
    [found] = of(look(scenery.kafka), scenery.called("timeless"), topic)
    assert (found.lag, found.age_seconds, found.horizon_seconds) == (145, None, None)
    assert found.age_method == "not known: the record has no timestamp"


def test_a_transaction_that_is_open_or_aborted_is_no_lag(scenery: Scenery) -> None:
    topic = scenery.topic("open", 2)
    sender = Producer({"bootstrap.servers": scenery.bootstrap, "transactional.id": f"{scenery.name}-open"})
    sender.init_transactions(30)
    sender.begin_transaction()
    for _ in range(4):
        sender.produce(topic, b"x", partition=0)
    sender.flush()
    sender.abort_transaction(30)
    sender.begin_transaction()
    for _ in range(6):
        sender.produce(topic, b"x", partition=1)
    sender.flush()
    scenery.commit("committed", topic, {0: 0, 1: 0})
    aborted, still_open = partitions(scenery, "committed", topic)
    raw = PATIENT.model_copy(update={"isolation": "read_uncommitted"})
    all_of_it = partitions(scenery, "committed", topic, raw)
    sender.commit_transaction(30)
    assert (aborted.lag, aborted.latest) == (0, 5)
    assert (still_open.lag, still_open.open_records) == (0, 6)
    assert [one.lag for one in all_of_it] == [5, 6]
    until(lambda: partitions(scenery, "committed", topic)[1].lag == 7)


def test_rates_and_the_way_to_catch_up_are_those_of_what_happens(scenery: Scenery) -> None:
    topic = scenery.topic("moving", 1)
    scenery.produce(topic, 0, 100)
    scenery.commit("moving", topic, {0: 0})
    watcher = Watcher.of(scenery.kafka, PATIENT, scenery.called("moving"))
    began = time.monotonic()
    try:
        watcher.look()
        scenery.produce(topic, 0, 20)
        scenery.commit("moving", topic, {0: 60})
        time.sleep(1.0)
        one = of(watcher.look(), scenery.called("moving"), topic)[0]
        took = time.monotonic() - began
    finally:
        watcher.close()
    assert one.lag == 60
    assert one.rate_in is not None
    assert one.rate_out is not None
    assert 20 / took <= one.rate_in <= 20
    assert 60 / took <= one.rate_out <= 60
    assert one.catch_up_seconds == pytest.approx(60 / (one.rate_out - one.rate_in))


@pytest.mark.usefixtures("bootstrap")
def test_offsets_go_back_and_return(scenery: Scenery, tmp_path: Path) -> None:
    topic = scenery.topic("reset", 3)
    now = int(time.time() * 1000)
    for partition in range(3):
        scenery.produce(topic, partition, 4, now - HOUR_MS)
        scenery.produce(topic, partition, 4, now)
    scenery.commit("reset", topic, {0: 8, 1: 2})
    group = scenery.called("reset")

    def committed() -> list[int | None]:
        return [one.committed for one in partitions(scenery, "reset", topic)]

    def offsets(*arguments: str) -> str:
        ran = CliRunner().invoke(app, ["offsets", *arguments, "--backup-folder", str(tmp_path)])
        assert ran.exit_code == 0, ran.output
        return ran.output

    shown = offsets("reset", group, "--to", "10m")
    assert "2 records skipped, 4 records read again" not in shown
    assert f"{group}: 6 records skipped, 4 records read again, at most" in shown
    assert "nothing was changed" in shown
    assert committed() == [8, 2]
    assert not list(tmp_path.iterdir())

    assert "set and read back" in offsets("reset", group, "--to", "10m", "--yes")
    assert committed() == [4, 4, 4]
    backup = next(tmp_path.glob("offsets-*.json"))
    restored = offsets("restore", str(backup), "--yes")
    assert f"{topic}[2] had no commit in the backup, and stays where it is" in restored
    assert committed() == [8, 2, 4]
    assert "99 is not there, it begins at 0 and ends at 8" in offsets("reset", group, "--topic", topic, "--to", "99")
    offsets("reset", group, "--to", "earliest", "--yes")
    assert committed() == [0, 0, 0]

    member = scenery.member("reset", topic)
    refused = CliRunner().invoke(app, ["offsets", "reset", group, "--to", "latest", "--yes"])
    assert isinstance(refused.exception, ResetError)
    assert "has 1 active member (reset-client at /127.0.0.1)" in str(refused.exception)
    member.close()
    scenery.members.remove(member)
    assert committed() == [0, 0, 0]


@pytest.mark.usefixtures("bootstrap")
def test_the_terminal_shows_groups_partitions_and_what_is_not_there(
    scenery: Scenery, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = scenery.topic("shown", 2)
    scenery.produce(topic, 0, 150, int(time.time() * 1000) - HOUR_MS)
    scenery.commit("shown", topic, {0: 0, 1: 0})
    group = scenery.called("shown")
    listed = CliRunner().invoke(app, ["lag", "--once"])
    assert group in listed.output
    hasty = CliRunner().invoke(app, ["lag", group, "--span", "0.5"])
    assert "UNKNOWN" in hasty.output
    assert hasty.exit_code == 0
    alarm = CliRunner().invoke(app, ["lag", group])
    assert alarm.exit_code == 1, alarm.output
    assert f"no member reads all that waits for {group}: looking 10 s for a commit" in alarm.stderr
    first = next(line.split() for line in alarm.output.splitlines() if line.startswith(group))
    assert first[:7] == [group, topic, "0", "0", "150", "≤150", "1"]
    assert f"STOP {group}: 1 of 2 partitions; {topic}[0]: no member of the group reads it; 150 records" in alarm.output
    dumped = CliRunner().invoke(app, ["lag", group, "--once", "--json"])
    snapshot = Snapshot.model_validate_json(dumped.output)
    assert [one.group for one in snapshot.groups] == [group]
    unknown = CliRunner().invoke(app, ["lag", "nobody-at-all", "--once"])
    assert unknown.exit_code == 2
    assert group in unknown.stderr
    monkeypatch.setenv("SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("SCENESTREAM_OPS__TIMEOUT_SECONDS", "0.5")
    away = CliRunner().invoke(app, ["lag"])
    assert isinstance(away.exception, BrokerAway)


@pytest.mark.usefixtures("bootstrap")
def test_watching_goes_on_until_told_to_stop() -> None:
    program = [
        sys.executable,
        "-c",
        "from streams.cli import main; main()",
        "lag",
        "--watch",
        "--json",
        "--span",
        "0.5",
    ]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline())["looks"] for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
    assert watching.returncode == 0
    assert looks[0] < looks[1]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[JavaBroker]:
    """A broker where the user mirela may see that there are groups, and look at one of them."""
    needs_java("tried with permissions")
    port, controller = free_port(), free_port()
    login = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_mirela="{SECRET}";'
    plain = free_port()
    extra = {
        "controller.quorum.voters": f"1@localhost:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},GUARDED://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},GUARDED://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_PLAINTEXT",
        "listener.name.guarded.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.guarded.plain.sasl.jaas.config": login,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    try:
        one = JavaBroker(tmp_path, jars_of_kafka(), plain, extra=extra)
        one.start()
    except BrokerError as error:
        pytest.fail(str(error))
    one.guarded = f"127.0.0.1:{port}"  # type: ignore[attr-defined]
    yield one
    one.close()


def test_a_locked_group_costs_only_itself_and_a_broker_that_went_away_comes_back(guarded: JavaBroker) -> None:
    scenery = Scenery(guarded.bootstrap)
    topic = scenery.topic("guarded", 1)
    scenery.produce(topic, 0, 5)
    scenery.commit("open", topic, {0: 2})
    scenery.commit("locked", topic, {0: 2})
    allow(guarded.bootstrap, "mirela", ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE)
    allow(guarded.bootstrap, "mirela", ResourceType.TOPIC, topic, AclOperation.DESCRIBE)
    allow(guarded.bootstrap, "mirela", ResourceType.GROUP, scenery.called("open"), AclOperation.DESCRIBE)
    kafka = KafkaSettings(
        bootstrap_servers=guarded.guarded,  # type: ignore[attr-defined]
        security_protocol="SASL_PLAINTEXT",
        sasl_username="mirela",
        sasl_password=SecretStr(SECRET),
    )
    ops = OpsSettings(timeout_seconds=3.0, fetch_seconds=3.0, every_seconds=0.5)
    with Watcher.of(kafka, ops) as watcher:
        # A broker learns of what is allowed a little after the controller.
        first = seen(watcher, lambda one: one.error is None and len(one.groups) == 2)
        found = {one.group.removeprefix(f"{scenery.name}."): one for one in first.groups}
        assert found["locked"].error is not None
        assert "authorization failed" in found["locked"].error
        assert found["locked"].lag is None
        one = found["open"].partitions[0]
        assert (one.lag, one.certainty, one.age_seconds) == (3, "upper bound", None)
        # It may see the topic and not read it.
        assert "authorization failed" in one.age_method
        assert "authorization failed" in one.horizon_method

        guarded.kill()
        latest = seen(watcher, lambda one: one.error is not None)
        assert latest.error is not None
        assert "no Kafka answers" in latest.error
        assert SECRET not in latest.error
        assert [group.group for group in latest.groups] == [group.group for group in first.groups]
        assert latest.failures >= 1

        guarded.start()
        assert seen(watcher, lambda one: one.error is None).at > latest.at

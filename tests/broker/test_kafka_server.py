from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import kafka_server
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kafka_server import Broker, BrokerError, DockerBroker, GivenBroker, JavaBroker, find_broker


async def _send(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="test")
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def _create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def _read(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    reader = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await reader.start()
    try:
        return [(await asyncio.wait_for(reader.getone(), 20)).value for _ in range(count)]
    finally:
        await reader.stop()


def test_a_killed_broker_comes_back_with_what_was_committed(own: Broker) -> None:
    asyncio.run(_create(own.bootstrap, "kept"))
    asyncio.run(_send(own.bootstrap, "kept", b"before"))
    own.kill()
    own.start()
    asyncio.run(_send(own.bootstrap, "kept", b"after"))
    kafka_server.restart(own)
    assert asyncio.run(_read(own.bootstrap, "kept", 2)) == [b"before", b"after"]


def test_a_closed_broker_leaves_no_process(tmp_path: Path) -> None:
    one = kafka_server.own_broker(tmp_path)
    if not isinstance(one, JavaBroker):
        pytest.skip("a container leaves no process of ours")
    one.start()
    pid = one.pid
    assert pid is not None
    one.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_port_that_is_taken_is_told(broker: Broker, tmp_path: Path) -> None:
    if not isinstance(broker, JavaBroker):
        pytest.skip("an engine tells it itself")
    other = JavaBroker(tmp_path, kafka_server.jars_of_kafka(), int(broker.bootstrap.rsplit(":", 1)[1]))
    with pytest.raises(BrokerError, match="somebody else's Kafka answers"):
        other.start()
    asyncio.run(_create(broker.bootstrap, "still-there"))


def test_a_given_broker_is_taken_and_never_ended(tmp_path: Path) -> None:
    one = find_broker(tmp_path, environment={"KAFKA_BOOTSTRAP_SERVERS": "somewhere:9092"})
    assert isinstance(one, GivenBroker)
    assert one.bootstrap == "somewhere:9092"
    for end in (one.stop, one.kill):
        with pytest.raises(BrokerError, match="not ours"):
            end()


def test_without_any_broker_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match=r"KAFKA_BOOTSTRAP_SERVERS is not set.*java and mvn.*install Java 17"):
        find_broker(tmp_path, environment={})


def test_an_engine_is_asked_for_kafkas_own_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    one = kafka_server.own_broker(tmp_path, 9192)
    assert isinstance(one, DockerBroker)
    one.kill()
    one.close()
    info, create, kill, remove = (tmp_path / "asked").read_text().splitlines()
    assert info == "info"
    assert create.startswith("create --name scenestream-kafka-")
    assert "--publish 127.0.0.1:9192:9192" in create
    assert "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:9192" in create
    assert create.endswith("apache/kafka:4.1.1")
    assert kill.startswith("kill ")
    assert remove.startswith("rm --force --volumes ")


def test_a_person_can_start_it_alone(own: Broker) -> None:
    own.close()
    port = kafka_server.free_port()
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.broker.kafka_server", "--port", str(port)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert f"127.0.0.1:{port}" in process.stdout.readline()
            asyncio.run(_create(f"127.0.0.1:{port}", "there"))
        finally:
            process.terminate()
        assert process.wait(30) == 0
    with pytest.raises(OSError, match="Connect call failed"):
        asyncio.run(asyncio.open_connection("127.0.0.1", port))


@pytest.mark.parametrize("program", [("-m", "tests.broker.kafka_server"), ("tests/broker/demo_live.py", "unused")])
def test_what_a_person_lacks_is_said_in_words(program: tuple[str, ...], tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != kafka_server.GIVEN}
    ran = subprocess.run(
        [sys.executable, *program],
        cwd=Path(__file__).parents[2],
        env={**environment, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "install Java 17 and Maven" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_a_port_that_something_else_has_is_told_before_kafka_fails_at_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ran = subprocess.run(
            [sys.executable, "-m", "tests.broker.kafka_server", "--port", str(port)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"kafka: something listens at 127.0.0.1:{port} already")
    assert len(ran.stderr.splitlines()) == 1

"""A worker that begins: what a person must put right ends it with 2 and is told, and it can be stopped at any time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions
from kafka_server import Broker
from live import Pipeline, free_port

from schemas import topics

PROGRAM = str(Path(sys.executable).with_name("scenestream"))


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("SESSION_TIMEOUT_SECONDS", "0.5", "group.min.session.timeout.ms"),
        ("SESSION_TIMEOUT_SECONDS", "4000.0", "group.max.session.timeout.ms"),
        ("TRANSACTION_TIMEOUT_SECONDS", "1000.0", "transaction.max.timeout.ms"),
        ("TRANSACTION_TIMEOUT_SECONDS", "0.0001", "a millisecond at least"),
    ],
)
def test_settings_that_kafka_refuses_are_named(
    broker: Broker, tmp_path: Path, setting: str, value: str, told: str
) -> None:
    pipeline = Pipeline(broker.bootstrap, tmp_path, **{f"kafka__{setting.lower()}": value})
    asyncio.run(pipeline.make_topics())
    with pipeline.worker() as worker:
        assert worker.wait() == 2
        last = worker.tail().splitlines()[-1]
        assert last.startswith(f"scenestream: Kafka does not take SCENESTREAM_KAFKA__{setting}={value}: ")
        assert told in last


def test_a_topic_with_another_number_of_partitions_is_named(broker: Broker, tmp_path: Path) -> None:
    pipeline = Pipeline(broker.bootstrap, tmp_path)
    asyncio.run(pipeline.make_topics())
    feedback = pipeline.kafka.topic(topics.FEEDBACK)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    [made] = admin.create_partitions([NewPartitions(feedback, 6)]).values()
    made.result(30)
    with pipeline.worker() as worker:
        assert worker.wait() == 2
        assert f"{feedback} has 6 partitions, not 4" in worker.tail()


@pytest.mark.parametrize("after_seconds", [0.3, 0.8, 1.6])
@pytest.mark.parametrize(
    ("command", "how"), [("worker", signal.SIGTERM), ("worker", signal.SIGINT), ("dashboard", signal.SIGTERM)]
)
def test_a_service_that_loads_stops_at_once(
    tmp_path: Path, after_seconds: float, command: str, how: signal.Signals
) -> None:
    """Kafka is nowhere, so it has not begun, whenever the signal comes."""
    environment = {
        **os.environ,
        "SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "SCENESTREAM_WEB__ENABLED": "false",
        "SCENESTREAM_DASHBOARD__PORT": str(free_port()),
    }
    with subprocess.Popen(
        [PROGRAM, command], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as worker:
        time.sleep(after_seconds)
        worker.send_signal(how)
        assert worker.wait(30) == 0
        assert worker.stderr is not None
        assert b"Traceback" not in worker.stderr.read()

"""Kafka's access rules keep topics from a user: every command says so, and none takes them for not being there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AclOperation, ResourceType
from guarded import ACCESS_RULES, guarded_broker
from guarded import allow as allowed
from typer.testing import CliRunner

from streams.cli import topics
from streams.settings import Settings

PROGRAM = str(Path(sys.executable).with_name("scenestream"))
EXAMPLE = Path(__file__).parents[2] / "examples" / "scenes.jsonl"
PASSWORD = "not-told-to-anyone"  # noqa: S105 - of a broker that lives for a test


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """Return the address where nobody is asked, the one where access rules count, and a folder."""
    if os.environ.get("CI") != "true" and not shutil.which("keytool"):
        pytest.skip("NO JAVA, ACCESS RULES NOT TESTED")
    folder = tmp_path_factory.mktemp("rules")
    broker, port = guarded_broker(folder, {"ilya": PASSWORD}, ACCESS_RULES)
    broker.start()
    yield broker.bootstrap, f"127.0.0.1:{port}", folder
    broker.close()


@pytest.fixture
def prefix(place: tuple[str, str, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a pipeline's topics and become somebody who may do nothing with them."""
    open_address, address, folder = place
    name = f"a{uuid.uuid4().hex[:8]}."
    for variable, value in {"TOPIC_PREFIX": name, "GROUP": name, "BOOTSTRAP_SERVERS": open_address}.items():
        monkeypatch.setenv(f"SCENESTREAM_KAFKA__{variable}", value)
    assert CliRunner().invoke(topics.app, ["create"]).exit_code == 0
    for variable, value in {
        "BOOTSTRAP_SERVERS": address,
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_USERNAME": "ilya",
        "SASL_PASSWORD": PASSWORD,
        "SSL_CA_FILE": str(folder / "ca.pem"),
    }.items():
        monkeypatch.setenv(f"SCENESTREAM_KAFKA__{variable}", value)
    monkeypatch.setenv("SCENESTREAM_WEB__ENABLED", "false")
    return name


def allow(bootstrap: str, name: str, operation: AclOperation, kind: ResourceType = ResourceType.TOPIC) -> None:
    allowed(bootstrap, "ilya", kind, name, operation)


def run(*arguments: object) -> tuple[int, str]:
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_hidden_topics_are_not_called_missing(prefix: str, tmp_path: Path) -> None:
    replay = ("replay", EXAMPLE, "--target", "kafka", "--no-progress", "--out", tmp_path / "run")
    for command, code in ((("topics", "check"), 1), (("worker",), 2), (("dead", "list"), 2), (replay, 2)):
        ended, told = run(*command)
        assert ended == code, told
        assert f"{prefix}scenes" in told
        assert "Describe" in told
        assert "not there" not in told
        assert "no dead letters" not in told
    assert run("dead", "redrive")[0] == 2


def test_letters_that_may_not_be_sent_back_stay_and_keep_no_others(prefix: str, place: tuple[str, str, Path]) -> None:
    producer = Producer({"bootstrap.servers": place[0]})
    for source in ("scenes", "scenes.analogue", "feedback"):
        producer.produce(f"{prefix}{source}.dead", b"{broken", b"u")
    assert producer.flush(30) == 0
    for source in ("scenes", "scenes.regenerate", "scenes.analogue", "feedback"):
        for operation in (AclOperation.READ, AclOperation.WRITE):
            allow(place[0], f"{prefix}{source}.dead", operation)
    allow(place[0], f"{prefix}scenes", AclOperation.WRITE)
    ended, told = run("dead", "redrive")
    assert ended == 2
    assert f"TransactionalIdAuthorizationFailed: {prefix}-redrive" in told
    allow(place[0], f"{prefix}-redrive", AclOperation.WRITE, ResourceType.TRANSACTIONAL_ID)
    allow(place[0], f"{prefix}scenes.analogue", AclOperation.DESCRIBE)
    ended, told = run("dead", "redrive")
    assert ended == 1
    assert "1 dead letter was sent back" in told
    assert f"it shows nothing of {prefix}feedback to this user; access rules have to allow Describe and Write" in told
    assert f"TopicAuthorizationFailedError: {prefix}scenes.analogue" in told
    listed = run("dead", "list", "--json")[1].splitlines()
    assert sorted(json.loads(one)["source"] for one in listed) == [
        f"{prefix}feedback:-1:-1",
        f"{prefix}scenes.analogue:-1:-1",
    ]


def test_a_topic_that_may_be_seen_and_not_read_hides_no_letters(prefix: str, place: tuple[str, str, Path]) -> None:
    for spec in ("scenes", "scenes.regenerate", "scenes.analogue", "feedback"):
        allow(place[0], f"{prefix}{spec}.dead", AclOperation.DESCRIBE)
    # Empty topics hide nothing, and how far they go may be seen.
    assert run("dead", "list") == (0, "no dead letters\n")
    producer = Producer({"bootstrap.servers": place[0]})
    producer.produce(f"{prefix}scenes.dead", b"{broken", b"u")
    assert producer.flush(30) == 0
    ended, told = run("dead", "list")
    assert ended == 2
    assert f"Read on {prefix}" in told
    # And how it is configured may be another secret.
    allow(place[0], f"{prefix}scenes", AclOperation.DESCRIBE)
    ended, told = run("topics", "check")
    assert ended == 1
    assert f"{prefix}scenes does not say how it is configured; an access rule has to allow DescribeConfigs" in told
    assert Settings().kafka.topic_prefix == prefix

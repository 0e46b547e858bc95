"""The same log through the embedded runtime and through workers on Kafka comes to the same."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import decision as decided
from builders import scene
from confluent_kafka import Producer
from fake_scorer import FakeScorer
from kafka_server import Broker
from live import Pipeline
from seeded_logs import log
from typer.testing import CliRunner

from schemas import topics as names
from schemas.dead import DeadReason
from schemas.scene import Scene, Utterance
from streams.cli import topics
from streams.kafka.wire import encode, models_stamp
from streams.replay.digest import Digest
from streams.replay.items import Item, Where
from streams.runtimes.embedded import EmbeddedRuntime
from streams.runtimes.lanes import Batching
from streams.runtimes.lockstep import Outcome
from streams.runtimes.remote import RemoteError, RemoteRuntime
from streams.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = str(Path(sys.executable).with_name("scenestream"))
Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def prefix(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"r{uuid.uuid4().hex[:8]}."
    monkeypatch.setenv("SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap)
    monkeypatch.setenv("SCENESTREAM_KAFKA__TOPIC_PREFIX", name)
    monkeypatch.setenv("SCENESTREAM_KAFKA__GROUP", name)
    monkeypatch.setenv("SCENESTREAM_WEB__ENABLED", "false")
    assert CliRunner().invoke(topics.app, ["create"]).exit_code == 0
    return name


@pytest.fixture
def worker(prefix: str, tmp_path: Path) -> Iterator[Start]:
    """Start workers with models that know nothing; they are ended with the test."""
    del prefix
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        said = (tmp_path / f"worker{len(started)}.log").open("wb")
        program = [sys.executable, str(Path(__file__).with_name("fake_worker.py"))]
        with said:
            started.append(subprocess.Popen(program, stdout=said, stderr=said, env=dict(os.environ)))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
    for process in started:
        assert process.wait(30) == 0


def embedded(items: list[Item]) -> tuple[list[Outcome], EmbeddedRuntime]:
    runtime = EmbeddedRuntime(FakeScorer(), Settings().policy(), Batching(16, 1.0, 64))
    return list(runtime.run(items)), runtime


def remote(items: list[Item]) -> tuple[list[Outcome], RemoteRuntime]:
    runtime = RemoteRuntime(Settings().kafka, open_scenes=64)
    return list(runtime.run(items)), runtime


def digest(outcomes: list[Outcome]) -> str:
    made = Digest()
    for decision in itertools.chain.from_iterable(outcome.decisions for outcome in outcomes):
        made.add(decision)
    return made.hexdigest()


def test_a_log_comes_to_the_same_through_kafka(worker: Start) -> None:
    worker()
    items = log(seed=5, scenes=300, users=12)
    here, one = embedded(items)
    there, other = remote(items)
    assert [outcome.item for outcome in there] == items
    assert digest(there) == digest(here)
    assert there == here
    assert list(other.rows) == list(one.rows)
    assert any(len(outcome.decisions) > 1 for outcome in there)
    scenes = sum(isinstance(item.event, Scene) for item in items)
    assert other.timings.summary()["there and back: scene"]["count"] == scenes


def test_two_workers_decide_the_same_as_one(worker: Start) -> None:
    worker()
    worker()
    items = log(seed=6, scenes=120, users=9)
    assert remote(items)[0] == embedded(items)[0]


@pytest.mark.parametrize("megabytes", [2, 20])
def test_a_scene_that_is_too_large_costs_only_itself(worker: Start, megabytes: int) -> None:
    worker()
    large = tuple(Utterance(role="user", text="x" * 50_000) for _ in range(megabytes * 20))
    events = [scene(1), scene(2, context=large), scene(3)]
    items = [Item(Where("log.jsonl", line, b"{}"), event) for line, event in enumerate(events, 1)]
    first, second, third = remote(items)[0]
    assert first.decisions
    assert third.decisions
    assert second.dead is not None
    assert second.dead.reason is DeadReason.TOO_LONG


def test_without_a_worker_it_says_so(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    del prefix
    monkeypatch.setenv("SCENESTREAM_KAFKA__PATIENCE_SECONDS", "1")
    with pytest.raises(RemoteError, match=r"no answer to scene .* is a `scenestream worker` running"):
        remote(log(seed=1, scenes=3))


def test_without_topics_it_says_so(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENESTREAM_KAFKA__TOPIC_PREFIX", f"{prefix}none.")
    with pytest.raises(RemoteError, match=r"no topic .* `scenestream topics create` makes it"):
        remote(log(seed=1, scenes=3))


def test_a_log_that_breaks_off_is_settled_before_that_is_told(worker: Start) -> None:
    worker()
    items = log(seed=2, scenes=20)

    def broken() -> Iterator[Item]:
        yield from items
        raise OSError("the disk is gone")

    runtime = RemoteRuntime(Settings().kafka, open_scenes=64)
    seen: list[Item] = []
    with pytest.raises(OSError, match="the disk is gone"):
        seen.extend(outcome.item for outcome in runtime.run(broken()))
    assert seen == items


def test_it_can_be_left_in_the_middle(worker: Start) -> None:
    worker()
    with closing(RemoteRuntime(Settings().kafka, open_scenes=16).run(log(seed=3, scenes=200))) as outcomes:
        assert next(outcomes).item.where.line == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "kafka-replay"]


def test_a_run_names_the_models_of_who_decided_it(worker: Start, tmp_path: Path) -> None:
    worker()
    command = [PROGRAM, "replay", str(EXAMPLES / "scenes.jsonl"), "--limit", "5", "--target", "kafka", "--no-progress"]
    run = subprocess.run([*command, "--out", str(tmp_path / "run")], capture_output=True, text=True, check=True)
    told = json.loads((tmp_path / "run" / "summary.json").read_text())["models"]
    assert told == {"workers": models_stamp({"fake": "0" * 64})}
    assert "workers with other models decided" in run.stdout
    refused = subprocess.run([*command, "--memory", str(tmp_path)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "workers decide, each with a memory of its own" in " ".join(refused.stderr.replace("│", " ").split())


def test_decisions_of_others_name_no_models(worker: Start) -> None:
    worker()
    kafka, items = Settings().kafka, log(seed=7, scenes=40)
    strange = encode(decided(user_id="somebody else"), at=datetime.now(UTC), models="f" * 64)

    def meanwhile() -> Iterator[Item]:
        yield from items[:20]
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        for partition in range(kafka.partitions):
            producer.produce(
                kafka.topic(names.READY), strange.value, strange.key, partition, headers=list(strange.headers)
            )
        assert producer.flush(30) == 0
        yield from items[20:]

    runtime = RemoteRuntime(kafka, open_scenes=8)
    assert len(list(runtime.run(meanwhile()))) == len(items)
    assert runtime.stamps == {models_stamp({"fake": "0" * 64})}


def test_workers_with_different_models_are_told_apart(broker: Broker, tmp_path: Path) -> None:
    pipeline = Pipeline(broker.bootstrap, tmp_path)
    asyncio.run(pipeline.make_topics())
    command = [PROGRAM, "replay", str(EXAMPLES / "night_shift.jsonl.gz"), "--target", "kafka", "--no-progress"]
    with pipeline.worker("one") as one, pipeline.worker("two", FAKE_SHA256="1" * 64) as two:
        asyncio.run(one.until_ready())
        asyncio.run(two.until_ready())
        run = subprocess.run(
            [*command, "--out", str(tmp_path / "run")],
            env={**os.environ, **pipeline.environment}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    told = json.loads((tmp_path / "run" / "summary.json").read_text())["models"]
    stamps = sorted(models_stamp({"fake": digit * 64}) for digit in "01")
    assert told == {"workers": ", ".join(stamps)}
    assert "workers with different models decided" in run.stdout


def test_what_nobody_decided_names_no_models_and_no_memory(
    prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del prefix
    base, log_of_it = tmp_path / "memory", EXAMPLES / "mornings.jsonl"
    subprocess.run([PROGRAM, "memory", "build", str(log_of_it), "--out", str(base)], check=True, capture_output=True)
    monkeypatch.setenv("SCENESTREAM_MEMORY", str(base))
    command = [PROGRAM, "replay", str(log_of_it), "--limit", "0", "--no-progress"]
    for target in ("kafka", "embedded"):
        out = tmp_path / target
        subprocess.run([*command, "--target", target, "--out", str(out)], check=True, capture_output=True)
    kafka, embedded = (json.loads((tmp_path / one / "summary.json").read_text()) for one in ("kafka", "embedded"))
    assert (kafka["models"], kafka["settings"]["memory"]) == ({}, None)
    assert embedded["settings"]["memory"] == str(base)
    assert "memory" in embedded["models"]

"""The same log through the embedded runtime and through workers on Kafka comes to the same."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from builders import scene
from fake_scorer import FakeScorer
from kafka_server import Broker
from seeded_logs import log
from typer.testing import CliRunner

from schemas.dead import DeadReason
from schemas.scene import Scene, Utterance
from streams.cli import topics
from streams.kafka.wire import models_stamp
from streams.replay.digest import Digest
from streams.replay.items import Item, Where
from streams.runtimes.embedded import EmbeddedRuntime
from streams.runtimes.lanes import Batching
from streams.runtimes.lockstep import Outcome
from streams.runtimes.remote import RemoteError, RemoteRuntime
from streams.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
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
    program, example = str(Path(sys.executable).with_name("scenestream")), EXAMPLES / "scenes.jsonl"
    command = [program, "replay", str(example), "--limit", "5", "--target", "kafka", "--no-progress"]
    run = subprocess.run([*command, "--out", str(tmp_path / "run")], capture_output=True, text=True, check=True)
    told = json.loads((tmp_path / "run" / "summary.json").read_text())["models"]
    assert told == {"workers": models_stamp({"fake": "0" * 64})}
    assert "workers with other models decided" in run.stdout
    refused = subprocess.run([*command, "--memory", str(tmp_path)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "workers decide, each with a memory of its own" in " ".join(refused.stderr.replace("│", " ").split())

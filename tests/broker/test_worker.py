"""A worker on a real broker: what it sends, what it keeps, what it refuses, and how it comes and goes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from builders import feedback, scene
from kafka_server import Broker
from live import Pipeline, WorkerProcess
from rejudge import rejudge

from schemas import topics
from schemas.decision import Decision
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.settings import Settings

POLICY = Settings().policy()


def scenes(count: int, users: int, seed: int = 0) -> list[Scene]:
    rng = random.Random(seed)
    turns: Counter[int] = Counter()
    made = []
    for number in range(count):
        user = rng.randrange(users)
        turns[user] += 1
        made.append(scene(turns[user], f"d{user}", f"u{user}", draft=f"draft {number} of {seed}"))
    return made


def names(decisions: list[Decision]) -> Counter[tuple[str, int, str, str]]:
    return Counter((one.scene_id, one.attempt, one.verdict.value, one.rule) for one in decisions)


async def members(pipeline: Pipeline) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.kafka.bootstrap_servers)
    await admin.start()
    try:
        groups = await admin.describe_consumer_groups([pipeline.kafka.group])
        return len(groups[0].groups[0][5])
    finally:
        await admin.close()


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_outputs_and_rows_are_those_of_the_stages(broker: Broker, tmp_path: Path, guarantee: str) -> None:
    pipeline = Pipeline(broker.bootstrap, tmp_path, kafka__guarantee=guarantee)
    asyncio.run(_outputs_and_rows(pipeline))


async def _outputs_and_rows(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    sent = scenes(600, 40)
    with pipeline.worker() as worker:
        await worker.until_ready()
        async with pipeline.producer() as producer:
            await pipeline.send(producer, sent)
            topic = pipeline.kafka.topic(topics.SCENES)
            key = sent[0].key.encode()
            bad = [
                (key, b"{not json"), (key, None),
                (b"someone else", sent[0].model_dump_json(exclude_none=True).encode()),
                (key, b'{"type": "feedback", "dialogue_id": "d", "turn": 1, "accepted": true}'),
                (key, b'"' + b"x" * 1_020_000 + b'"'),
                (None, b"\xff\xfe"), (key, b'{"version": 99, "type": "scene"}'),
            ]  # fmt: skip
            for at, value in bad:
                await producer.send_and_wait(topic, value, at, headers=[("mine", b"kept")])
        found = await pipeline.outcomes(len(sent))
        dead = await pipeline.read(topics.dead_topic(topics.SCENES))
        expected, rows, refused = rejudge(await pipeline.read(topics.SCENES), POLICY)
        assert names(found) == names(expected)
        assert len(found) == len({one.scene_id for one in found}) == len(sent)
        assert {one.verdict.value for one in found} == {"ready", "withheld", "reasoning"}
        assert max(one.attempt for one in found) == 2
        assert await pipeline.rows() == rows
        assert refused == len(dead) == len(bad)
        assert sorted((letter.key or b"", letter.value or b"") for letter in dead) == sorted(
            (key or b"", value or b"") for key, value in bad
        )
        assert all(letter.headers[0] == ("mine", b"kept") for letter in dead)
        await _feedback_is_echoed(pipeline, found)
        status, told = worker.get("/readyz?verbose")
        assert status == 200
        assert told["models"] == {"fake": "0" * 64}
        assert told["rows"] == len(rows)
        assert worker.events("worker_starts")[0]["models"] == {"fake": "0" * 64}
        assert worker.get("/livez")[0] == 200
        assert worker.get("/table/")[0] == 404
        assert await members(pipeline) == 1
        before = await pipeline.rows()
        assert in_fausts_table(worker) == before
        assert worker.terminate() == 0
        assert await members(pipeline) == 0
        worker.start()
        await worker.until_ready()
        assert in_fausts_table(worker) == before


def in_fausts_table(worker: WorkerProcess) -> dict[str, Sensitivity]:
    """Return what Faust's own table of the worker holds."""
    status, told = worker.get("/faust-table")
    assert status == 200
    return {key: Sensitivity.model_validate_json(value) for key, value in told.items()}


async def _feedback_is_echoed(pipeline: Pipeline, found: list[Decision]) -> None:
    ready = next(one for one in found if one.verdict.value == "ready" and one.attempt == 0)
    before = len(await pipeline.read(topics.SENSITIVITY))
    async with pipeline.producer() as producer:
        about = feedback(ready.turn, False, ready.dialogue_id, ready.user_id)
        unknown = feedback(ready.turn + 500, True, ready.dialogue_id, ready.user_id)
        await pipeline.send(producer, [about, about, unknown])
    echoes: list[str] = []
    for _ in range(50):
        rows = await pipeline.read(topics.SENSITIVITY)
        echoes = [value.decode() for row in rows for name, value in row.headers if name == "outcome"]
        if len(echoes) == 3:
            break
        await asyncio.sleep(0.1)
    assert before < len(rows)
    assert echoes == ["learnt", "repeated", "unknown"]
    letters = await pipeline.read(topics.dead_topic(topics.FEEDBACK))
    assert len(letters) == 1
    assert (await pipeline.rows())[ready.key].z == 1.0 - POLICY.gate.alpha


def test_a_scene_that_no_model_can_read_costs_only_itself(broker: Broker, tmp_path: Path) -> None:
    async def poison() -> None:
        pipeline = Pipeline(broker.bootstrap, tmp_path)
        await pipeline.make_topics()
        sent = scenes(100, 10)
        sent[30:30] = [scene(1, "p", "u3", draft="poison"), scene(2, "p", "u3", draft="poison")]
        with pipeline.worker(FAKE_FAILS_ON="poison") as worker:
            await worker.until_ready()
            async with pipeline.producer() as producer:
                await pipeline.send(producer, sent)
            found = await pipeline.outcomes(100)
            assert len(found) == 100
            letters = await pipeline.read(topics.dead_topic(topics.SCENES))
            assert len(letters) == 2
            assert dict(letters[0].headers)["__dlq.errors.exception"] == b"ZeroDivisionError"
            assert dict(letters[0].headers)["__dlq.errors.stage"] == b"resonance"
            assert worker.terminate() == 0

    asyncio.run(poison())


def test_topics_that_are_missing_end_the_worker_and_say_what_to_do(broker: Broker, tmp_path: Path) -> None:
    with Pipeline(broker.bootstrap, tmp_path).worker() as worker:
        assert worker.wait() == 2
        assert "scenestream topics create" in worker.tail()


def test_a_broker_that_is_away_is_waited_for_at_the_start_and_in_the_middle(own: Broker, tmp_path: Path) -> None:
    async def away() -> None:
        # Kafka is away for longer than the watchdog waits, and that is not the worker's fault.
        pipeline = Pipeline(own.bootstrap, tmp_path, models__deadline_seconds="2", kafka__watchdog_seconds="8")
        await pipeline.make_topics()
        sent = scenes(600, 40, seed=1)
        await asyncio.to_thread(own.stop)
        with pipeline.worker() as worker:
            await _says_that_it_waits(worker)
            await asyncio.to_thread(own.start)
            await worker.until_ready()
            async with pipeline.producer() as producer:
                await pipeline.send(producer, sent[:300])
            await asyncio.to_thread(own.stop)
            await worker.until_ready(503)
            await asyncio.sleep(9)
            assert worker.get("/livez")[0] == 200
            await asyncio.to_thread(own.start)
            await worker.until_ready()
            async with pipeline.producer() as producer:
                await pipeline.send(producer, sent[300:])
            found = await pipeline.outcomes(len(sent))
            expected, rows, _ = rejudge(await pipeline.read(topics.SCENES), POLICY)
            assert names(found) == names(expected)
            assert len(found) == len(sent)
            assert await pipeline.rows() == rows
            assert worker.terminate() == 0

    asyncio.run(away())


async def _says_that_it_waits(worker: WorkerProcess) -> None:
    for _ in range(100):
        if worker.events("kafka_away"):
            break
        await asyncio.sleep(0.1)
    assert worker.get("/livez")[0] == 200
    status, told = worker.get("/readyz")
    assert status == 503
    assert not told["kafka_reached"]

"""At least once: nothing lost, rows exact, and what comes twice comes under the same id and says the same."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from builders import scene
from kafka_server import Broker
from live import FINAL, Pipeline, decision_of
from rejudge import rejudge

from schemas import topics
from schemas.scene import Scene
from streams.kafka.wire import header
from streams.settings import Settings

POLICY = Settings().policy()
_USERS = 240


def load(count: int, seed: int) -> list[Scene]:
    rng = random.Random(seed)
    turns: Counter[int] = Counter()
    made = []
    for number in range(count):
        user = rng.randrange(_USERS)
        turns[user] += 1
        made.append(scene(turns[user], f"d{user}", f"u{user}", draft=f"draft {number} of {seed}"))
    return made


async def flow(producer: AIOKafkaProducer, pipeline: Pipeline, sent: Sequence[Scene], seconds: float) -> None:
    steps = 40
    for step in range(steps):
        await pipeline.send(producer, sent[len(sent) * step // steps : len(sent) * (step + 1) // steps])
        await asyncio.sleep(seconds / steps)


def test_a_worker_that_is_killed_under_load_repeats_outputs_and_counts_once(broker: Broker, tmp_path: Path) -> None:
    asyncio.run(_killed(Pipeline(broker.bootstrap, tmp_path, kafka__guarantee="at_least_once")))


async def _killed(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    sent = load(2500, 7)
    async with pipeline.producer() as producer:
        with pipeline.worker() as worker:
            await worker.until_ready()
            flowing = asyncio.create_task(flow(producer, pipeline, sent, 4.0))
            for seconds in (1.5, 0.7):
                await asyncio.sleep(seconds)
                worker.kill()
                worker.start()
                await worker.until_ready()
            await flowing
            said = await _settled(pipeline, len(sent))
            assert worker.terminate() == 0
    assert {decision_of(record.value).scene_id for record in said} == {one.scene_id for one in sent}
    bodies: dict[str | None, set[bytes]] = defaultdict(set)
    for record in said:
        bodies[header(record.headers, "ce_id")].add(record.value)
    assert len(bodies) == len(sent), "one id for each scene"
    assert all(len(one) == 1 for one in bodies.values()), "what is repeated says the same"
    judged = {header(record.headers, "ce_id"): record for record in reversed(await pipeline.read(topics.SCENES))}
    _, rows, refused = rejudge(sorted(judged.values(), key=lambda one: (one.partition, one.offset)), POLICY)
    assert refused == 0
    assert await pipeline.rows() == rows
    assert await pipeline.read(topics.dead_topic(topics.SCENES)) == []


async def _settled(pipeline: Pipeline, wanted: int) -> list[Any]:
    """Return what is on the topics of outcomes when every scene has one and nothing has come for a while."""
    found: list[Any] = []
    for _ in range(40):
        before = len(found)
        found = [record for name in FINAL for record in await pipeline.read(name)]
        if len({decision_of(record.value).scene_id for record in found}) == wanted and len(found) == before:
            return found
        await asyncio.sleep(1.0)
    raise AssertionError(f"{len(found)} outcomes of {wanted} scenes")

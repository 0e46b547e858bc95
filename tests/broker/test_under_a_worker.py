"""What is done to a worker's group and topics while it lives: it ends, and says why, and begins anew."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path
from typing import cast

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from builders import scene
from kafka_server import Broker
from live import Pipeline

from schemas import topics
from streams.kafka.clients import client_options
from streams.kafka.topics_admin import Admin, create, specs


def test_a_group_that_does_not_take_the_worker_ends_it(broker: Broker, tmp_path: Path) -> None:
    """Somebody else uses the group's name; aiokafka's coordinator would stand still, in silence, for ever."""
    pipeline = Pipeline(broker.bootstrap, tmp_path)

    async def refused() -> None:
        await pipeline.make_topics()
        other = AIOKafkaConsumer(
            pipeline.kafka.topic(topics.READY),
            bootstrap_servers=broker.bootstrap,
            group_id=pipeline.kafka.group,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
        )
        await other.start()
        try:
            while not other.assignment():
                await other.getmany(timeout_ms=100)
            with pipeline.worker() as worker:
                assert await asyncio.to_thread(worker.wait) == 3, worker.tail()
                [seen] = worker.events("worker_fails")
                assert "InconsistentGroupProtocol" in seen["error"]
        finally:
            await other.stop()

    asyncio.run(refused())


def test_a_worker_that_is_told_to_stop_while_kafka_is_away_stops(own: Broker, tmp_path: Path) -> None:
    """aiokafka's consumer, closed while its fetches wait for Kafka, raised in Faust's thread, and nothing ended it."""
    pipeline = Pipeline(own.bootstrap, tmp_path)

    async def ready() -> None:
        await pipeline.make_topics()
        await worker.until_ready()
        async with pipeline.producer() as producer:
            await pipeline.send(producer, [scene(turn, "d", "u", draft=f"turn {turn}") for turn in range(1, 21)])
        assert len(await pipeline.outcomes(20)) == 20

    with pipeline.worker() as worker:
        asyncio.run(ready())
        own.kill()
        # Time for its fetches to find out.
        time.sleep(2.0)
        assert worker.terminate() == 0, worker.tail()
        assert "Traceback" not in worker.tail()


@pytest.mark.parametrize(("seen", "code"), [(False, 3), (True, 2)])
def test_a_topic_that_is_made_anew_is_read_from_its_beginning(
    broker: Broker, tmp_path: Path, seen: bool, code: int
) -> None:
    """Whether the worker sees that it was gone, or goes on where the new one has not come to yet."""
    pipeline = Pipeline(broker.bootstrap, tmp_path)
    spec = next(one for one in specs(pipeline.kafka) if one.name == pipeline.kafka.topic(topics.SCENES))
    before = [scene(turn, "d", "u", draft=f"old {turn}") for turn in range(1, 21)]
    after = [scene(turn, "d", "u", draft=f"new {turn}") for turn in range(21, 26)]

    async def anew() -> None:
        await pipeline.make_topics()
        admin = AIOKafkaAdminClient(**client_options(pipeline.kafka))
        await admin.start()
        try:
            with pipeline.worker() as worker:
                await worker.until_ready()
                async with pipeline.producer() as producer:
                    await pipeline.send(producer, before)
                    assert len(await pipeline.outcomes(20)) == 20
                if not seen:
                    worker.signal(signal.SIGSTOP)
                await admin.delete_topics([spec.name])
                await asyncio.sleep(0.5)
                await create(cast("Admin", admin), [spec])
                async with pipeline.producer() as producer:
                    await pipeline.send(producer, after)
                if not seen:
                    worker.signal(signal.SIGCONT)
                assert await asyncio.to_thread(worker.wait) == code, worker.tail()
                if not seen:
                    [end] = worker.events("worker_fails")
                    assert "LogError" in end["error"]
                    assert "its topic was made anew" in end["error"]
                worker.start()
                found = await pipeline.outcomes(25)
                assert Counter(one.scene_id for one in found) == Counter(one.scene_id for one in [*before, *after])
        finally:
            await admin.close()

    asyncio.run(anew())

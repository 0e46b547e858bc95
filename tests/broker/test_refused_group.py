"""A group that will not have the worker: it ends and says why."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka_server import Broker
from live import Pipeline

from schemas import topics


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

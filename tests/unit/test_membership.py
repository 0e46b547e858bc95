"""How a worker's consumer joins its group."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from streams.kafka.membership import ConsumerThread, Membership

DAY_MS = 24 * 3_600_000


def test_a_worker_without_partitions_is_never_too_idle_for_its_group() -> None:
    """aiokafka counts from the last fetch, and a spare worker fetches nothing for as long as all others live."""

    async def run() -> None:
        thread: Any = object.__new__(ConsumerThread)
        thread.app = SimpleNamespace(
            assignor=RoundRobinPartitionAssignor, conf=SimpleNamespace(broker_client_id="worker")
        )
        thread.consumer = SimpleNamespace(
            membership=Membership({"bootstrap_servers": "127.0.0.1:1"}, "g", None, 6000, 30_000, 1024, 2**20, 100)
        )
        consumer = cast("Any", thread._create_worker_consumer(None))
        try:
            assert consumer._max_poll_interval_ms > 3650 * DAY_MS
        finally:
            await consumer.stop()

    asyncio.run(run())

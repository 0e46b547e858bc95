"""What an outbox leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from streams.kafka.records import Place
from streams.kafka.transactions import PlainOutbox, Sending


def test_a_producer_is_closed_also_where_the_last_commit_failed() -> None:
    class Producer:
        closed = False

        async def stop(self) -> None:
            self.closed = True

    async def refused(offsets: Mapping[Place, int]) -> None:
        raise KafkaError(f"{offsets}")

    async def run() -> None:
        outbox: Any = PlainOutbox(Sending({}, "g", 1000, 5, 2**20), refused)
        producer = outbox._producer = Producer()
        await outbox.send([], [], {Place("scenes", 0): 1})
        with pytest.raises(KafkaError):
            await outbox.stop()
        assert producer.closed

    asyncio.run(run())

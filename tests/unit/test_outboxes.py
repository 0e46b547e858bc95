"""What an outbox leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from streams.kafka.records import Place
from streams.kafka.transactions import PlainOutbox, Sending


def test_a_batch_does_not_wait_for_the_commits_before_it_and_raises_what_they_raised() -> None:
    async def run() -> None:
        commits: list[asyncio.Future[None]] = []
        asked: list[int] = []

        async def commit(offsets: Mapping[Place, int]) -> None:
            asked.extend(offsets.values())
            commits.append(asyncio.get_running_loop().create_future())
            await commits[-1]

        outbox: Any = PlainOutbox(Sending({}, "g", 1000, 5, 2**20), commit)
        outbox._producer = object()
        for offset in (1, 2, 3):
            await outbox.send([], [], {Place("scenes", 0): offset})
            await asyncio.sleep(0)
        assert asked == [1, 2, 3]
        flushing = asyncio.create_task(outbox.flush())
        for one in commits:
            await asyncio.sleep(0)
            assert not flushing.done()
            one.set_result(None)
        await flushing
        await outbox.send([], [], {Place("scenes", 0): 4})
        await asyncio.sleep(0)
        commits[-1].set_exception(KafkaError("refused"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(KafkaError, match="refused"):
            await outbox.send([], [], {Place("scenes", 0): 5})

    asyncio.run(run())


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

"""What outboxes of several partitions do as one at least once: send, and commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import AIOKafkaProducer

from streams.kafka.records import Place

Commit = Callable[[Mapping[Place, int]], Awaitable[None]]


class SharedProducer:
    """One producer for all who send at the same time, for what they send then goes to Kafka together.

    It is started for the first and closed after the last. Each with one of its own costs a quarter more latency.
    """

    def __init__(self, start: Callable[[], Awaitable[AIOKafkaProducer]]) -> None:
        self._start = start
        self._users = 0
        self._producer: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()

    async def acquire(self) -> AIOKafkaProducer:
        """Return the producer, connected; raises what starting it raises, and may be tried again then."""
        async with self._turn:
            if self._producer is None:
                self._producer = await self._start()
            self._users += 1
            return self._producer

    async def release(self) -> None:
        """Let it go, once for each time that it was acquired; the last one waits for what is still to be sent."""
        async with self._turn:
            self._users -= 1
            if self._users == 0 and self._producer is not None:
                producer, self._producer = self._producer, None
                await producer.stop()


class SharedCommits:
    """Commits of several outboxes as one: while one is under way, those that come are gathered for the next.

    Kafka answers a consumer's commits one after the other, and takes 6 ms for each.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._gathered: dict[Place, int] = {}
        self._under_way: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def commit(self, offsets: Mapping[Place, int]) -> None:
        """Return when these offsets are committed; raises what the commit that they were part of raised."""
        self._gathered.update(offsets)
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._under_way))
        # Others wait for the same: who gives up must not take it from them.
        await asyncio.shield(self._next)

    async def _after(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        offsets, self._gathered = self._gathered, {}
        self._under_way, self._next = self._next, None
        await self._commit(offsets)

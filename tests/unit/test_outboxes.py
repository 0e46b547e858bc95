"""What an outbox leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from streams.kafka import transactions
from streams.kafka.records import Place
from streams.kafka.shared import SharedProducer
from streams.kafka.transactions import Outboxes, PlainOutbox, Sending


class Producer:
    """As much of a producer as an outbox needs to begin and to end."""

    closed = False

    async def stop(self) -> None:
        self.closed = True


def shared(*producers: Producer | OSError) -> SharedProducer:
    """Return what starts these, one after the other."""
    upcoming = iter(producers)

    async def start() -> Any:  # noqa: ANN401 - it stands for an AIOKafkaProducer
        one = next(upcoming)
        if isinstance(one, OSError):
            raise one
        return one

    return SharedProducer(start)


def test_a_batch_does_not_wait_for_the_commits_before_it_and_raises_what_they_raised() -> None:
    async def run() -> None:
        commits: list[asyncio.Future[None]] = []
        asked: list[int] = []

        async def commit(offsets: Mapping[Place, int]) -> None:
            asked.extend(offsets.values())
            commits.append(asyncio.get_running_loop().create_future())
            await commits[-1]

        outbox = PlainOutbox(shared(Producer()), commit)
        await outbox.start()
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
    async def refused(offsets: Mapping[Place, int]) -> None:
        raise KafkaError(f"{offsets}")

    async def run() -> None:
        producer = Producer()
        outbox = PlainOutbox(shared(producer), refused)
        await outbox.start()
        await outbox.send([], [], {Place("scenes", 0): 1})
        with pytest.raises(KafkaError):
            await outbox.stop()
        assert producer.closed

    asyncio.run(run())


async def _no_commit(offsets: Mapping[Place, int]) -> None:
    del offsets


def test_outboxes_share_a_producer_that_is_closed_after_the_last_of_them() -> None:
    async def run() -> None:
        first, second = Producer(), Producer()
        producers = shared(OSError("away"), first, second)
        one, other = PlainOutbox(producers, _no_commit), PlainOutbox(producers, _no_commit)
        with pytest.raises(OSError, match="away"):
            await one.start()
        await one.stop()
        await asyncio.gather(one.start(), other.start())
        await one.stop()
        await one.stop()
        assert not first.closed
        await other.stop()
        assert first.closed
        await one.start()
        await one.stop()
        assert second.closed

    asyncio.run(run())


def test_whoever_begins_after_an_outage_gets_another_producer_than_those_who_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def started(*_: object, **__: object) -> Producer:
        return Producer()

    async def run() -> None:
        outboxes = Outboxes(Sending({}, "g", 1000, 5, 2**20), transactional=False)
        leaving: list[Any] = [outboxes.of(f"rows-{number}", _no_commit) for number in range(2)]
        await asyncio.gather(*(one.start() for one in leaving))
        old = leaving[0]._producer
        assert leaving[1]._producer is old
        outboxes.renew()
        new: Any = outboxes.of("rows-0", _no_commit)
        await new.start()
        assert new._producer is not old
        await asyncio.gather(*(one.stop() for one in leaving))
        assert old.closed
        assert not new._producer.closed

    monkeypatch.setattr(transactions, "started", started)
    asyncio.run(run())

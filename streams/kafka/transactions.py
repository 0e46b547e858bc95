"""Outboxes: how what came of a batch leaves, whole or not at all (exactly once), or at least once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndMetadata

from streams.kafka.records import Outgoing, Place

Commit = Callable[[Mapping[Place, int]], Awaitable[None]]
_BATCH_BYTES = 512 * 1024
_PARTITIONER = DefaultPartitioner()


@dataclass(frozen=True, slots=True)
class Sending:
    """How producers send: how to reach Kafka, whose offsets they commit, timeouts, and what topics take at once."""

    options: Mapping[str, object]
    group_id: str
    transaction_timeout_ms: int
    retry_backoff_ms: int
    max_batch_bytes: int


class Outbox(Protocol):
    """Where one partition number of a group sends what came of its batches."""

    async def start(self) -> None:
        """Be ready to send; whoever had this outbox before can send no more, where that is promised."""

    async def send(self, outputs: Sequence[Outgoing], rows: Sequence[Outgoing], offsets: Mapping[Place, int]) -> None:
        """Send what came of a batch and commit that it was done."""

    async def flush(self) -> None:
        """Wait until what was sent is committed."""

    async def stop(self) -> None:
        """Let go, after what was sent is committed."""


class TransactionalOutbox:
    """Exactly once: outputs, rows and offsets of a batch are one transaction of one producer.

    Starting it fences the former owner of the same `name` and ends the transaction that it left open. Kafka 4 answers
    the first write of a transaction to a partition with a retriable error while it verifies the transaction, which is
    why the pause before a retry is short.
    """

    def __init__(self, sending: Sending, name: str) -> None:
        self._sending = sending
        self._name = name
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Fence the former owner; returns when its transaction is ended. It may be tried again when it raises."""
        self._producer = await _started(
            self._sending,
            transactional_id=self._name,
            transaction_timeout_ms=self._sending.transaction_timeout_ms,
        )

    async def send(self, outputs: Sequence[Outgoing], rows: Sequence[Outgoing], offsets: Mapping[Place, int]) -> None:
        """Send all in one transaction; raises when it is not certain to be committed."""
        producer = _of(self._producer)
        await producer.begin_transaction()
        sent = await append(producer, [*outputs, *rows])
        await producer.send_offsets_to_transaction(_as_aiokafka(offsets), self._sending.group_id)
        await asyncio.gather(*sent)
        await producer.commit_transaction()

    async def flush(self) -> None:
        """Do nothing: what was sent is committed."""

    async def stop(self) -> None:
        """Close the producer."""
        if self._producer is not None:
            await self._producer.stop()


class PlainOutbox:
    """At least once: outputs are acknowledged before rows are sent, and rows before the offsets are committed.

    A crash in between repeats outputs, with the same ids; nothing is lost. Rows say which records they count, so that
    none counts twice. Offsets are committed behind the next batches, for a commit takes 6 ms, and more behind others.
    """

    def __init__(self, sending: Sending, commit: Commit) -> None:
        self._sending = sending
        self._commit = commit
        self._committing: list[asyncio.Task[None]] = []
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; nobody is fenced."""
        self._producer = await _started(self._sending, enable_idempotence=True)

    async def send(self, outputs: Sequence[Outgoing], rows: Sequence[Outgoing], offsets: Mapping[Place, int]) -> None:
        """Send outputs, then rows, then begin to commit the offsets; raises what a commit before it raised."""
        producer = _of(self._producer)
        for one in [one for one in self._committing if one.done()]:
            self._committing.remove(one)
            one.result()
        await asyncio.gather(*await append(producer, outputs))
        await asyncio.gather(*await append(producer, rows))
        self._committing.append(asyncio.create_task(_awaited(self._commit(offsets))))

    async def flush(self) -> None:
        """Wait for the last commits."""
        committing, self._committing = self._committing, []
        await asyncio.gather(*committing)

    async def stop(self) -> None:
        """Wait for the last commits and close the producer."""
        try:
            await self.flush()
        finally:
            if self._producer is not None:
                await self._producer.stop()


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


async def send_once(sending: Sending, records: Iterable[Outgoing]) -> None:
    """Send records outside of any transaction, with a producer of their own; returns when all are acknowledged."""
    producer = await _started(sending, enable_idempotence=True)
    try:
        await asyncio.gather(*await append(producer, records))
    finally:
        await producer.stop()


async def append(producer: AIOKafkaProducer, records: Iterable[Outgoing]) -> list[Awaitable[object]]:
    """Hand records to a producer as whole batches, which costs a third of sending each; return what to wait for."""
    sent: list[Awaitable[object]] = []
    batches: dict[tuple[str, int], Any] = {}
    for record in records:
        partition = await _partition_of(producer, record)
        place = (record.topic, partition)
        batch = batches.get(place)
        if batch is None or not _appended(batch, record):
            if batch is not None:
                sent.append(await producer.send_batch(batch, record.topic, partition=partition))
            batch = batches[place] = producer.create_batch()
            _appended(batch, record)
    for (topic, partition), batch in batches.items():
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    return sent


async def _started(sending: Sending, **promise: object) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        **sending.options,
        **promise,
        retry_backoff_ms=sending.retry_backoff_ms,
        max_batch_size=min(_BATCH_BYTES, sending.max_batch_bytes),
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


def _of(producer: AIOKafkaProducer | None) -> AIOKafkaProducer:
    if producer is None:
        raise LookupError("an outbox was used before it was started")
    return producer


def _appended(batch: Any, record: Outgoing) -> bool:  # noqa: ANN401 - aiokafka's builder has no types
    done = batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    return done is not None


async def _partition_of(producer: AIOKafkaProducer, record: Outgoing) -> int:
    if record.partition is not None:
        return record.partition
    partitions = sorted(await producer.partitions_for(record.topic))
    chosen: int = _PARTITIONER(record.key, partitions, partitions)
    return chosen


def _as_aiokafka(offsets: Mapping[Place, int]) -> dict[TopicPartition, OffsetAndMetadata]:
    return {TopicPartition(*place): OffsetAndMetadata(offset, "") for place, offset in offsets.items()}


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable

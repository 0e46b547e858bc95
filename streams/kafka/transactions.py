"""Outboxes: how what came of a batch leaves, whole or not at all (exactly once), or at least once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndMetadata

from streams.kafka.records import Outgoing, Place
from streams.kafka.shared import Commit, SharedProducer

_BATCH_BYTES = 512 * 1024
_PARTITIONER = DefaultPartitioner()


@dataclass(frozen=True, slots=True)
class Sending:
    """How producers send: how to reach Kafka, whose offsets they commit, timeouts, and what topics take at once."""

    # Passwords are among them.
    options: Mapping[str, object] = field(repr=False)
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
        self._producer = await started(
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

    def __init__(self, producers: SharedProducer, commit: Commit) -> None:
        self._producers = producers
        self._commit = commit
        self._committing: list[asyncio.Task[None]] = []
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; nobody is fenced."""
        self._producer = await self._producers.acquire()

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
        """Wait for the last commits and let the producer go."""
        try:
            await self.flush()
        finally:
            producer, self._producer = self._producer, None
            if producer is not None:
                await self._producers.release()


class Outboxes:
    """Makes the outbox of each partition number, after what is promised."""

    def __init__(self, sending: Sending, *, transactional: bool) -> None:
        self._sending = sending
        self._transactional = transactional
        self.renew()

    def renew(self) -> None:
        """Let those that are made from now on share another producer: what the last one still holds is not known."""
        self._producers = SharedProducer(lambda: started(self._sending, enable_idempotence=True))

    def of(self, name: str, commit: Commit) -> Outbox:
        """Return a new outbox; `commit` is how offsets are committed where no transaction does it."""
        if self._transactional:
            return TransactionalOutbox(self._sending, f"{self._sending.group_id}-{name}")
        return PlainOutbox(self._producers, commit)


async def send_once(sending: Sending, records: Iterable[Outgoing]) -> None:
    """Send records outside of any transaction, with a producer of their own; returns when all are acknowledged."""
    producer = await started(sending, enable_idempotence=True)
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


async def started(sending: Sending, **promise: object) -> AIOKafkaProducer:
    """Return a producer that is connected; what it promises is told as aiokafka names it."""
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

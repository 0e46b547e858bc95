"""The plain loop that the worker is compared with: aiokafka, and nothing between it and the stages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.kafka.clients import client_options
from streams.kafka.records import Outgoing, Received
from streams.kafka.transactions import append
from streams.settings import Settings
from tests.benchmarks.live_work import opened

_SENT_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition of one topic, and what the models said of each."""

    records: Sequence[Received]
    prepared: Sequence[Any]

    def offset(self) -> dict[TopicPartition, int]:
        last = self.records[-1]
        return {TopicPartition(last.topic, last.partition): last.offset + 1}


class PlainLoop:
    """Plain aiokafka: poll, ask the models, judge, produce, commit; the next poll is prepared meanwhile."""

    def __init__(self, settings: Settings, polled: int) -> None:
        self._kafka = settings.kafka
        self._work = opened(settings)
        self._polled = polled
        self._committing: Awaitable[None] | None = None

    async def run(self) -> None:
        kafka = self._kafka
        self._consumer = AIOKafkaConsumer(
            *self._work.handlers,
            **client_options(kafka),
            group_id=kafka.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=kafka.max_fetch_bytes,
            fetch_max_wait_ms=kafka.fetch_wait_ms,
        )
        transactional = kafka.guarantee == "exactly_once"
        self._producers = [
            AIOKafkaProducer(
                **client_options(kafka),
                enable_idempotence=True,
                transactional_id=f"{kafka.group}-{number}" if transactional else None,
                retry_backoff_ms=kafka.retry_backoff_ms,
                max_batch_size=_SENT_BYTES,
            )
            for number in range(kafka.partitions if transactional else 1)
        ]
        await self._consumer.start()
        for producer in self._producers:
            await producer.start()
        send = self._send_in_transactions if transactional else self._send
        upcoming = asyncio.create_task(self._next())
        while True:
            batches = await upcoming
            upcoming = asyncio.create_task(self._next())
            await send(batches)

    async def _next(self) -> list[Batch]:
        """Return the records of a poll, prepared: what a topic's partitions brought goes to the models together."""
        polled = await self._consumer.getmany(timeout_ms=1000, max_records=self._polled)
        by_topic: dict[str, list[Sequence[Received]]] = {}
        for tp, records in polled.items():
            by_topic.setdefault(tp.topic, []).append(records)
        prepared = await asyncio.gather(*(self._prepare(topic, parts) for topic, parts in by_topic.items()))
        return [batch for batches in prepared for batch in batches]

    async def _prepare(self, topic: str, parts: Sequence[Sequence[Received]]) -> list[Batch]:
        answers = iter(await self._work.handlers[topic].prepare([record for records in parts for record in records]))
        return [Batch(records, [next(answers) for _ in records]) for records in parts]

    async def _send(self, batches: Sequence[Batch]) -> None:
        outputs = [one for batch in batches for one in self._work.apply(batch.records, batch.prepared)]
        producer = self._producers[0]
        await asyncio.gather(*await append(producer, outputs))
        await asyncio.gather(*await append(producer, self._work.changed_rows(range(self._kafka.partitions))))
        if self._committing is not None:
            await self._committing
        offsets = {tp: offset for batch in batches for tp, offset in batch.offset().items()}
        self._committing = asyncio.create_task(self._consumer.commit(offsets)) if offsets else None

    async def _send_in_transactions(self, batches: Sequence[Batch]) -> None:
        sending = []
        for number, producer in enumerate(self._producers):
            mine = [batch for batch in batches if batch.records[0].partition == number]
            if mine:
                outputs = [one for batch in mine for one in self._work.apply(batch.records, batch.prepared)]
                outputs += self._work.changed_rows([number])
                offsets = {tp: offset for batch in mine for tp, offset in batch.offset().items()}
                sending.append(self._transaction(producer, outputs, offsets))
        await asyncio.gather(*sending)

    async def _transaction(
        self, producer: AIOKafkaProducer, outputs: Sequence[Outgoing], offsets: Mapping[TopicPartition, int]
    ) -> None:
        await producer.begin_transaction()
        sent = await append(producer, outputs)
        await producer.send_offsets_to_transaction(offsets, self._kafka.group)
        await asyncio.gather(*sent)
        await producer.commit_transaction()


def plain(settings: Settings, polled: int) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(PlainLoop(settings, polled).run())

"""Those that `make bench-live` compares with the worker: `python -m tests.benchmarks.live_peers plain|take|quix`.

All do the worker's work with the worker's own stages, models, messages and topics (`SCENESTREAM_*` says which); what
differs is who polls, who hands batches on, and who commits. The settings' guarantee is kept by `plain` both ways, by
Faust's `take` and by Quix Streams at least once only. All run in one process with the models in two threads.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import faust
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas import topics
from streams.cli.wiring import load_settings, open_scorer
from streams.kafka.clients import client_options
from streams.kafka.records import Handler, Outgoing, Received
from streams.kafka.transactions import append
from streams.kafka.wire import models_stamp
from streams.runtimes.worker_agents import Resonance, bridger, regenerator
from streams.runtimes.worker_desk import Desk
from streams.runtimes.worker_models import ModelThread
from streams.runtimes.worker_rows import TableRows
from streams.settings import Settings
from streams.stages.admit import Refusal
from streams.topology import Stage

_SENT_BYTES = 512 * 1024


class DirectThread(ModelThread):
    """A model's thread without the worker's sharing of batches: each call goes to it as it comes."""

    async def ask(self, ask: Callable[[Sequence[Any]], Sequence[Any]], items: Sequence[Any]) -> Sequence[Any]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, ask, items) if items else ()


@dataclass(frozen=True, slots=True)
class Work:
    """What is done with the records of each topic, and the rows that it changes."""

    handlers: Mapping[str, Handler[Any]]
    rows: TableRows

    def apply(self, records: Sequence[Received], prepared: Sequence[Any]) -> Iterable[Outgoing]:
        return self.handlers[records[0].topic].apply(records, prepared)

    def changed_rows(self, partition: int | None) -> list[Outgoing]:
        return [Outgoing(self.rows.changelog, *change, partition) for change in self.rows.take_changes()]


def work_of(settings: Settings) -> Work:
    kafka, batching = settings.kafka, settings.models
    scorer = open_scorer(settings)
    rows = TableRows({}, kafka.topic(topics.SENSITIVITY))
    desk = Desk(
        scorer=scorer,
        encoder=DirectThread("encoder", batching.max_batch, 0.0),
        models=DirectThread("models", batching.max_batch, 0.0),
        policy=settings.policy(),
        rows=rows,
        name=kafka.topic,
        stamp=models_stamp(scorer.describe()),
        bury=_refuse,
        largest_bytes=kafka.topics.max_message_bytes,
    )
    handlers: tuple[Handler[Any], ...] = (Resonance(desk), regenerator(desk), bridger(desk))
    return Work({one.topic: one for one in handlers}, rows)


def _refuse(record: Received, stage: Stage, error: Refusal | Exception) -> Outgoing:
    raise ValueError(f"{stage} refuses {record.topic} {record.partition}:{record.offset}: {error}")


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
        self._work = work_of(settings)
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
        await asyncio.gather(*await append(producer, self._work.changed_rows(None)))
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
                outputs += self._work.changed_rows(number)
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


def take(settings: Settings, polled: int) -> None:
    """Stock Faust: an agent takes what came within a moment, and sends one by one."""
    kafka, work = settings.kafka, work_of(settings)
    app = faust.App(
        kafka.group,
        broker=[f"kafka://{server}" for server in kafka.bootstrap_servers.split(",")],
        store="memory://",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=kafka.partitions,
        stream_wait_empty=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )

    def named(name: str) -> Any:  # noqa: ANN401 - Faust's own
        return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    out = {kafka.topic(name): named(kafka.topic(name)) for name in topics.TOPICS}

    async def send_all(outputs: Iterable[Outgoing]) -> None:
        sent = [
            await out[one.topic].send(key=one.key, value=one.value, headers=list(one.headers), partition=one.partition)
            for one in outputs
        ]
        await asyncio.gather(*sent)

    def agent_of(handler: Handler[Any]) -> Callable[[Any], Awaitable[None]]:
        async def judge(stream: Any) -> None:  # noqa: ANN401 - Faust's own
            async for events in stream.take_events(polled, within=settings.models.max_wait_ms / 1000):
                records = [event.message for event in events]
                prepared = await handler.prepare(records)
                await send_all(handler.apply(records, prepared))
                await send_all(work.changed_rows(None))

        return judge

    for name, handler in work.handlers.items():
        app.agent(out[name], name=name)(agent_of(handler))
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    faust.Worker(app, loglevel="warning", loop=loop, quiet=True).execute_from_commandline()


def quix(settings: Settings, polled: int) -> None:
    """Quix Streams: a function for each message, for its batches are windows with a state of their own."""
    from quixstreams import Application, message_context  # noqa: PLC0415 - an extra that only this needs
    from quixstreams.models import Serializer  # noqa: PLC0415 - as above

    del polled
    kafka, work = settings.kafka, work_of(settings)
    loop = asyncio.new_event_loop()

    class Value(Serializer):  # type: ignore[misc,unused-ignore]
        def __call__(self, *said: Any, **options: Any) -> bytes:  # noqa: ANN401 - as Quix has it
            del options
            return said[0].value or b""

    @dataclass(slots=True)
    class Record:
        topic: str
        partition: int
        offset: int
        key: bytes | None
        value: bytes | None
        headers: Sequence[tuple[str, bytes]]
        timestamp: int

    def judge(value: bytes, key: bytes, timestamp: int, headers: Sequence[tuple[str, bytes]]) -> list[Outgoing]:
        where = message_context()
        record = Record(where.topic, where.partition, where.offset, key, value, headers or (), timestamp)
        prepared = loop.run_until_complete(work.handlers[record.topic].prepare([record]))
        return [*work.apply([record], prepared), *work.changed_rows(None)]

    app = Application(
        kafka.bootstrap_servers,
        consumer_group=kafka.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        use_changelog_topics=False,
        loglevel="WARNING",
    )
    made = {
        kafka.topic(name): app.topic(kafka.topic(name), value_deserializer="bytes", value_serializer=Value())
        for name in topics.TOPICS
    }
    for name in work.handlers:
        frame = app.dataframe(made[name]).apply(judge, expand=True, metadata=True)
        frame = frame.set_headers(lambda one, key, timestamp, headers: list(one.headers))  # noqa: ARG005
        frame.to_topic(lambda one, key, timestamp, headers: made[one.topic], key=lambda one: one.key)  # noqa: ARG005
    app.run()


PEERS: Mapping[str, Callable[[Settings, int], None]] = {"plain": plain, "take": take, "quix": quix}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--polled", type=int, default=1024, help="records that a poll brings at most")
    options = parser.parse_args()
    PEERS[options.peer](load_settings(), options.polled)

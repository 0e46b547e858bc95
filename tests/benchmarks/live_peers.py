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

from schemas import topics
from streams.cli.configured import load_settings
from streams.kafka.records import Handler, Outgoing
from streams.settings import Settings
from tests.benchmarks.live_plain import plain
from tests.benchmarks.live_work import opened


def take(settings: Settings, polled: int) -> None:
    """Stock Faust: an agent takes what came within a moment, and sends one by one."""
    kafka, work = settings.kafka, opened(settings)
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
                await send_all(work.changed_rows(range(kafka.partitions)))

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
    kafka, work = settings.kafka, opened(settings)
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
        return [*work.apply([record], prepared), *work.changed_rows([record.partition])]

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

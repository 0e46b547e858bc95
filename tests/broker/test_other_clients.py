"""What clients other than ours write: every codec, and header names that are no text."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka.producer import message_accumulator
from aiokafka.record.util import calc_crc32c_py
from builders import scene
from confluent_kafka import Producer
from kafka_server import Broker
from live import Pipeline

from schemas import topics
from streams.kafka.dead_letters import read_letter
from streams.kafka.wire import encode
from streams.ops.replays.export import export
from streams.settings import OpsSettings

PROGRAM = str(Path(sys.executable).with_name("scenestream"))
NOT_TEXT = b"\xff\xfe\xff\xfe"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_scenes_are_judged_in_whichever_codec_they_come(broker: Broker, tmp_path: Path, codec: str) -> None:
    asyncio.run(_judged(Pipeline(broker.bootstrap, tmp_path), codec))


async def _judged(pipeline: Pipeline, codec: str) -> None:
    await pipeline.make_topics()
    producer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap_servers, "compression.type": codec})
    with pipeline.worker() as worker:
        await worker.until_ready()
        for turn in range(1, 41):
            message = encode(scene(turn, "d", "u"), at=datetime.now(UTC))
            producer.produce(pipeline.kafka.topic(topics.SCENES), message.value, message.key)
        assert producer.flush(30) == 0
        assert len(await pipeline.outcomes(40)) == 40
        assert worker.terminate() == 0


def test_what_no_topic_takes_is_put_aside_without_its_bytes(broker: Broker, tmp_path: Path) -> None:
    """Kafka limits what a message is when it is compressed: five megabytes of words are some kilobytes then."""
    asyncio.run(_put_aside(Pipeline(broker.bootstrap, tmp_path)))


async def _put_aside(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    topic, dead = pipeline.kafka.topic(topics.SCENES), pipeline.kafka.topic(topics.dead_topic(topics.SCENES))
    large = scene(1, "d", "u", draft="words and more words " * 250_000)
    message = encode(large, at=datetime.now(UTC))
    assert len(message.value) > 5_000_000
    producer = Producer(
        {"bootstrap.servers": pipeline.kafka.bootstrap_servers, "compression.type": "gzip", "message.max.bytes": 2**24}
    )
    with pipeline.worker() as worker:
        await worker.until_ready()
        producer.produce(topic, message.value, message.key)
        # As many headers as one likes, for nobody knows what.
        producer.produce(topic, b"{not json", message.key, headers=[("x" * 50, b"y" * 150)] * 10_000)
        # What follows from it would fit no topic.
        behind = encode(scene(2, "d", "u"), at=datetime.now(UTC))
        producer.produce(topic, behind.value, message.key, headers={"tracestate": b"a=" + b"b" * 1_000_000})
        for turn in range(3, 23):
            behind = encode(scene(turn, "d", "u"), at=datetime.now(UTC))
            producer.produce(topic, behind.value, message.key)
        assert producer.flush(60) == 0
        found = await pipeline.outcomes(21)
        assert sorted(one.turn for one in found) == [*range(2, 23)]
        letters = {read_letter(one).source_offset: one for one in await pipeline.read(topics.dead_topic(topics.SCENES))}
        cut, many = letters[0], letters[1]
        assert len(letters) == 2
        told = read_letter(cut)
        assert (cut.key, cut.value, told.left_out) == (message.key, None, ("value",))
        assert (told.value_bytes, told.failure.exception) == (len(message.value), "too_long")
        assert (many.key, read_letter(many).left_out) == (message.key, ("value", "headers"))
        assert worker.events("worker_fails") == []
        assert worker.terminate() == 0
    shown = await asyncio.to_thread(run, pipeline, "dead", "show", f"{dead}:{cut.partition}:{cut.offset}")
    assert f"its value would not fit a dead topic ({len(message.value):,} bytes)" in shown
    back = await asyncio.to_thread(run, pipeline, "dead", "redrive")
    assert back.startswith("0 dead letters were sent back")
    assert f"the message lies at {topic}:{told.source.partition}:0" in back


def run(pipeline: Pipeline, *arguments: str) -> str:
    done = subprocess.run(
        [PROGRAM, *arguments],
        env={**os.environ, **pipeline.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def test_a_header_name_that_is_no_text_costs_nobody_anything(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scene is judged, the message that is no scene is put aside, and whoever reads the topic passes both."""
    get = message_accumulator.MessageBatch.get_data_buffer

    def spoilt(batch: message_accumulator.MessageBatch) -> bytes:
        # As a client in C would have sent it: the name's bytes, and the checksum over them.
        raw = bytearray(get(batch))
        raw = raw.replace(b"QQQQ", NOT_TEXT)
        raw[17:21] = struct.pack(">I", calc_crc32c_py(memoryview(bytes(raw[21:]))))
        return bytes(raw)

    monkeypatch.setattr(message_accumulator.MessageBatch, "get_data_buffer", spoilt)
    asyncio.run(_passed(Pipeline(broker.bootstrap, tmp_path)))


async def _passed(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    began = datetime.now(UTC) - timedelta(seconds=5)
    named, behind = (encode(scene(turn, "d", "u"), at=began) for turn in (1, 2))
    with pipeline.worker() as worker:
        await worker.until_ready()
        async with pipeline.producer() as producer:
            topic, odd = pipeline.kafka.topic(topics.SCENES), [("first", b"1"), ("QQQQ", b"2"), ("last", None)]
            for value, headers in ((named.value, odd), (b"{not json", odd), (behind.value, [])):
                await producer.send_and_wait(topic, value, key=named.key, headers=headers)
            await pipeline.send(producer, [scene(1, f"d{n}", f"u{n}") for n in range(20)])
        assert len(await pipeline.outcomes(22)) == 22
        [letter] = await pipeline.read(topics.dead_topic(topics.SCENES))
        assert letter.value == b"{not json"
        assert letter.headers[:3] == (("first", b"1"), ("\\xff\\xfe\\xff\\xfe", b"2"), ("last", None))
        assert worker.terminate() == 0
    log = pipeline.folder / "log.jsonl.gz"
    found = await asyncio.to_thread(
        export, pipeline.kafka, OpsSettings(), began, datetime.now(UTC) + timedelta(seconds=5), log
    )
    assert found.scenes == 22
    with gzip.open(log, "rt") as lines:
        assert {json.loads(line)["type"] for line in lines} == {"scene"}

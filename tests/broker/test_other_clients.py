"""What clients other than ours write: every codec, and header names that are no text."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
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
from streams.kafka.wire import encode
from streams.ops.replays.export import export
from streams.settings import OpsSettings

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

"""A row of a newer version ends the worker, which says so: the row is not begun anew, nor the scene buried."""

from __future__ import annotations

import asyncio
from pathlib import Path

from builders import scene
from kafka_server import Broker
from live import Pipeline

from schemas import topics


def test_a_newer_row_ends_the_worker_and_a_newer_scene_is_a_dead_letter(broker: Broker, tmp_path: Path) -> None:
    async def upgrade() -> None:
        pipeline = Pipeline(broker.bootstrap, tmp_path)
        await pipeline.make_topics()
        old, key = scene(1, "d", "u"), b"u"
        newer = old.model_dump_json(exclude_none=True).replace('"version":1', '"version":2').encode()
        async with pipeline.producer() as producer:
            await producer.send_and_wait(pipeline.kafka.topic(topics.SCENES), newer, key)
            await producer.send_and_wait(
                pipeline.kafka.topic(topics.SENSITIVITY), b'{"version": 2, "type": "sensitivity", "key": "u"}', key
            )
            with pipeline.worker() as worker:
                await worker.until_ready()
                letters = []
                for _ in range(100):
                    letters = await pipeline.read(topics.dead_topic(topics.SCENES))
                    if letters:
                        break
                    await asyncio.sleep(0.1)
                [letter] = letters
                assert dict(letter.headers)["__dlq.errors.exception"] == b"unknown_version"
                assert letter.value == newer
                await pipeline.send(producer, [old])
                assert await asyncio.to_thread(worker.wait) == 2
                last = worker.tail().splitlines()[-1]
                assert last.startswith("scenestream: a row on ")
                assert "`version` is 2" in last
                assert "upgrade scenestream" in last
        assert len(await pipeline.read(topics.dead_topic(topics.SCENES))) == 1
        # What was noted ahead was taken back.
        notes = {note.key: note.value for note in await pipeline.read(topics.SUSPECT)}
        assert set(notes.values()) == {None}

    asyncio.run(upgrade())

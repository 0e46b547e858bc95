"""The list of bad inputs of the replay, line by line through Kafka: the same reasons, and nobody else is disturbed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from builders import scene
from kafka_server import Broker
from live import Pipeline, WorkerProcess

from schemas import topics
from streams.kafka.dead_letters import read_letter
from tests.replay.test_bad_input import BAD, EXPECTED

PROGRAM = str(Path(sys.executable).with_name("scenestream"))


def event_of(line: bytes) -> dict[str, object]:
    """Return the event that a line would be; nothing where it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def key_of(event: dict[str, object]) -> bytes:
    """Return the key under which a client would send it."""
    named = event.get("user_id") or event.get("dialogue_id")
    return str(named or "nobody").encode("utf-8", "replace")


def reason_in_kafka(line: bytes, reason: str | None) -> str | None:
    """Return why a line is dead as a message.

    Of the formats of logs Kafka carries one, and scenes come back to their topic with an attempt counted.
    """
    if "messages" in event_of(line):
        return "unknown_format"
    return None if event_of(line).get("attempt") == 1 else reason


def test_each_line_of_bad_input_comes_to_what_the_replay_makes_of_it(broker: Broker, tmp_path: Path) -> None:
    asyncio.run(_each_line(Pipeline(broker.bootstrap, tmp_path)))


async def _each_line(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    lines = BAD.read_bytes().splitlines()
    wanted = [reason_in_kafka(line, reason) for line, reason in zip(lines, EXPECTED, strict=True)]
    about = {number for number, line in enumerate(lines) if event_of(line).get("type") == "feedback"}
    sent: dict[tuple[str, int, int], int] = {}
    # As workers run, with the models that are shipped: what is a code and what a vector depends on them.
    worker = WorkerProcess(pipeline.environment, pipeline.folder, "one", (PROGRAM, "worker"))
    with worker:
        await worker.until_ready()
        async with pipeline.producer() as producer:
            # Feedback comes by a topic of its own, and would overtake its scene.
            for name, numbers in ((topics.SCENES, {*range(len(lines))} - about), (topics.FEEDBACK, about)):
                for number in sorted(numbers):
                    at = await producer.send_and_wait(
                        pipeline.kafka.topic(name), lines[number], key=key_of(event_of(lines[number]))
                    )
                    sent[pipeline.kafka.topic(name), at.partition, at.offset] = number
                right = sum(wanted[number] is None for number in numbers)
                if name == topics.SCENES:
                    assert len(await pipeline.outcomes(right)) == right
                await until_buried(pipeline, name, len(numbers) - right)
            await pipeline.send(producer, [scene(turn, "behind", "them") for turn in range(1, 21)])
        decided = sum(reason is None for number, reason in enumerate(wanted) if number not in about)
        assert len(await pipeline.outcomes(decided + 20)) == decided + 20
        dead: dict[int, str] = {}
        for name in (topics.SCENES, topics.FEEDBACK):
            for letter in map(read_letter, await pipeline.read(topics.dead_topic(name))):
                number = sent[letter.source.topic, letter.source.partition, letter.source_offset]
                dead[number] = letter.failure.exception
                assert letter.value == lines[number]
        assert [dead.get(number) for number in range(len(lines))] == wanted
        assert worker.events("worker_fails") == []
        assert worker.terminate() == 0


async def until_buried(pipeline: Pipeline, name: str, count: int) -> None:
    for _ in range(100):
        if len(await pipeline.read(topics.dead_topic(name))) >= count:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"fewer than {count} letters of {name}")

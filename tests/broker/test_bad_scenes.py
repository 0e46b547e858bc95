"""A scene that hangs a model, or breaks a stage after rows were touched, costs three restarts and only itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from builders import scene
from kafka_server import Broker
from live import Pipeline, WorkerProcess
from rejudge import rejudge

from schemas import topics
from schemas.scene import Scene
from streams.settings import Settings

POLICY = Settings().policy()
# The models that know nothing send it across the bridge.
BAD = "bad draft 8"


def scenes() -> list[Scene]:
    """Return scenes of eight users; the third of one user has a draft of its own kind."""
    turns: Counter[int] = Counter()
    made = []
    for number in range(80):
        user = number % 8
        turns[user] += 1
        bad = (user, turns[user]) == (3, 3)
        made.append(scene(turns[user], f"d{user}", f"u{user}", draft=BAD if bad else f"draft {number}"))
    return made


async def ends(worker: WorkerProcess, times: int, code: int) -> None:
    """Start a worker that ends so often, as its supervisor would."""
    for time in range(times):
        assert await asyncio.to_thread(worker.wait) == code, worker.tail()
        assert len(worker.events("suspects_noted")) > time
        worker.start()
    await worker.until_ready()


@pytest.mark.parametrize(
    ("fault", "code", "exception", "guarantee"),
    [
        ({"FAKE_HANGS_ON": BAD}, 5, "hung", "exactly_once"),
        ({"FAKE_BREAKS_ON": BAD}, 3, "AttributeError", "exactly_once"),
        ({"FAKE_HANGS_ON": BAD, "FAKE_HANGS_IN": "bridge"}, 5, "hung", "at_least_once"),
    ],
)
def test_a_scene_that_ends_the_worker_is_put_aside_the_third_time(
    broker: Broker, tmp_path: Path, fault: dict[str, str], code: int, exception: str, guarantee: str
) -> None:
    pipeline = Pipeline(broker.bootstrap, tmp_path, kafka__guarantee=guarantee, models__deadline_seconds="1")
    asyncio.run(_put_aside(pipeline, fault, code, exception))


def test_a_scene_that_ends_the_process_on_the_spot_is_put_aside_in_the_end(broker: Broker, tmp_path: Path) -> None:
    asyncio.run(_dies(Pipeline(broker.bootstrap, tmp_path)))


def test_a_worker_that_commits_nothing_says_what_it_sees_and_ends(broker: Broker, tmp_path: Path) -> None:
    pipeline = Pipeline(broker.bootstrap, tmp_path, models__deadline_seconds="4.9", kafka__watchdog_seconds="5")
    asyncio.run(_stalls(pipeline))


async def _stalls(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    with pipeline.worker(FAKE_PAUSE_SECONDS="3") as worker:
        await worker.until_ready()
        async with pipeline.producer() as producer:
            await pipeline.send(producer, [scene(1, "d", "u3")])
        assert await asyncio.to_thread(worker.wait) == 6, worker.tail()
        [seen] = worker.events("worker_stalls")
        [partition] = seen["partitions"].values()
        [(stalled, seconds)] = seen["stalled"].items()
        assert seconds > 5
        assert stalled.startswith(f"{pipeline.kafka.topic(topics.SCENES)}-")
        assert partition["open"] == 1
        assert partition[pipeline.kafka.topic(topics.SCENES)]["committed"] is None
        assert any(seconds for seconds in seen["models_busy_seconds"].values())
        assert 'File "' in worker.tail()


async def _put_aside(pipeline: Pipeline, fault: dict[str, str], code: int, exception: str) -> None:
    await pipeline.make_topics()
    sent = scenes()
    topic = topics.ANALOGUE if fault.get("FAKE_HANGS_IN") == "bridge" else topics.SCENES
    with pipeline.worker(**fault) as worker:
        await worker.until_ready()
        async with pipeline.producer() as producer:
            await pipeline.send(producer, sent)
        await ends(worker, 3, code)
        found = await pipeline.outcomes(len(sent) - 1)
        [letter] = await pipeline.read(topics.dead_topic(topic))
        said = {name.removeprefix("__dlq.errors."): value.decode() for name, value in letter.headers}
        assert (said["exception"], said["delivery.count"]) == (exception, "3")
        assert said["stage"] == ("bridge" if topic == topics.ANALOGUE else "resonance")
        assert BAD.encode() in letter.value
        assert {one.scene_id for one in found} == {one.scene_id for one in sent if one.draft != BAD}
        if pipeline.environment["SCENESTREAM_KAFKA__GUARANTEE"] == "exactly_once":
            assert len(found) == len(sent) - 1
            await _rows_are_right(pipeline)
        await _notes_are_cleared(pipeline)
        assert worker.terminate() == 0


async def _dies(pipeline: Pipeline) -> None:
    """Nothing of the process that dies is left: all that its successors know is in Kafka."""
    await pipeline.make_topics()
    sent = scenes()
    with pipeline.worker(FAKE_DIES_ON=BAD) as worker:
        await worker.until_ready()
        async with pipeline.producer() as producer:
            await pipeline.send(producer, sent[:16])
            await pipeline.outcomes(16)
            await pipeline.send(producer, sent[16:])
        hearing = asyncio.create_task(pipeline.outcomes(len(sent) - 1, quiet_seconds=120.0))
        deaths = 0
        while not hearing.done():
            if not worker.running:
                assert worker.wait() == 139, worker.tail()
                deaths += 1
                worker.start()
            await asyncio.sleep(0.05)
        # In company, in a first batch that is noted, and twice alone; once or twice more where a poll cut it off.
        assert 4 <= deaths <= 6
        found = await hearing
        [letter] = await pipeline.read(topics.dead_topic(topics.SCENES))
        said = {name.removeprefix("__dlq.errors."): value.decode() for name, value in letter.headers}
        assert (said["exception"], said["delivery.count"], said["stage"]) == ("died", "3", "resonance")
        assert BAD.encode() in letter.value
        assert sorted(one.scene_id for one in found) == sorted(one.scene_id for one in sent if one.draft != BAD)
        await _rows_are_right(pipeline)
        assert worker.terminate() == 0
        await _notes_are_cleared(pipeline)


async def _rows_are_right(pipeline: Pipeline) -> None:
    records = await pipeline.read(topics.SCENES)
    _, rows, _ = rejudge([record for record in records if BAD.encode() not in record.value], POLICY)
    known = await pipeline.rows()
    without = {key: row for key, row in known.items() if key != "u3"}
    assert without == {key: row for key, row in rows.items() if key != "u3"}


async def _notes_are_cleared(pipeline: Pipeline) -> None:
    last: dict[bytes, Any] = {note.key: note.value for note in await pipeline.read(topics.SUSPECT)}
    assert last
    assert set(last.values()) == {None}

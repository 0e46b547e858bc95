"""Nothing lost, nothing twice, no row wrong: workers are killed, and come and go, while scenes and feedback flow."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from aiokafka import AIOKafkaProducer
from builders import feedback, scene
from kafka_server import Broker
from live import Pipeline, WorkerProcess, decision_of
from rejudge import rejudge

from schemas import topics
from schemas.decision import Decision
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.settings import Settings

POLICY = Settings().policy()
USERS = 120


def load(count: int, seed: int) -> list[Scene]:
    """Return scenes of two kinds of users: those of `quiet` ones get no feedback, so their rows can be judged again."""
    rng = random.Random(seed)
    turns: Counter[str] = Counter()
    made = []
    for number in range(count):
        user = f"{rng.choice(['quiet', 'loud'])}{rng.randrange(USERS)}"
        turns[user] += 1
        made.append(scene(turns[user], f"d-{user}", user, draft=f"draft {number} of {seed}"))
    return made


class Audience:
    """Reads what is decided, committed only, and gives feedback on what loud users were told."""

    def __init__(self, pipeline: Pipeline, wanted: int) -> None:
        self.found: list[Decision] = []
        self.labels = 0
        self._pipeline = pipeline
        self._wanted = wanted
        self._news = asyncio.Condition()

    @property
    def done(self) -> bool:
        return len(self.found) >= self._wanted

    async def has_heard(self, share: float) -> None:
        async with self._news:
            await self._news.wait_for(lambda: len(self.found) >= share * self._wanted)

    async def listen(self, producer: AIOKafkaProducer) -> None:
        async with self._pipeline.follow() as consumer:
            while True:
                for batch in (await consumer.getmany(timeout_ms=100)).values():
                    heard = [decision_of(record.value) for record in batch]
                    self.found += heard
                    labels = [
                        feedback(one.turn, one.turn % 3 > 0, one.dialogue_id, one.user_id)
                        for one in heard
                        if one.verdict.value == "ready" and one.key.startswith("loud")
                    ]
                    self.labels += len(labels)
                    await self._pipeline.send(producer, labels)
                async with self._news:
                    self._news.notify_all()


async def flow(producer: AIOKafkaProducer, pipeline: Pipeline, sent: Sequence[Scene], seconds: float) -> None:
    steps = 40
    for step in range(steps):
        await pipeline.send(producer, sent[len(sent) * step // steps : len(sent) * (step + 1) // steps])
        await asyncio.sleep(seconds / steps)


async def settled(pipeline: Pipeline, audience: Audience, seconds: float = 45.0) -> None:
    """Wait until every scene has its outcome and every label is learnt, and then for what may come twice."""
    for _ in range(round(seconds / 0.25)):
        if audience.done:
            break
        await asyncio.sleep(0.25)
    for _ in range(80):
        rows = await pipeline.rows()
        if sum(map(labels_of, rows.values())) >= audience.labels:
            break
        await asyncio.sleep(0.25)
    await asyncio.sleep(1.0)


def labels_of(row: Sensitivity) -> int:
    labelled = sum(dialogue.labelled.bit_count() for dialogue in row.dialogues)
    return labelled + row.inapplicable + row.repeated


async def check(pipeline: Pipeline, audience: Audience, sent: Sequence[Scene]) -> None:
    outcomes = Counter(one.scene_id for one in audience.found)
    lost = {one.scene_id for one in sent} - outcomes.keys()
    assert not lost, f"{len(lost)} lost, of {len(sent)}"
    assert sum(outcomes.values()) == len(sent), "some came twice"
    records = await pipeline.read(topics.SCENES)
    quiet = [record for record in records if record.key.startswith(b"quiet")]
    expected, judged_again, refused = rejudge(quiet, POLICY)
    rows = await pipeline.rows()
    assert refused == 0
    assert {key: row for key, row in rows.items() if key.startswith("quiet")} == judged_again
    assert _said(one for one in audience.found if one.key.startswith("quiet")) == _said(expected)
    _check_loud(rows, audience, sent)
    for name in (topics.SCENES, topics.FEEDBACK):
        assert await pipeline.read(topics.dead_topic(name)) == []


def _said(decisions: object) -> Counter[tuple[str, int, str, str, float]]:
    return Counter((one.scene_id, one.attempt, one.verdict.value, one.rule, one.risk) for one in decisions)  # type: ignore[attr-defined]


def _check_loud(rows: Mapping[str, Sensitivity], audience: Audience, sent: Sequence[Scene]) -> None:
    """Count what does not hang on whether a label or the next scene came first."""
    offered = Counter(one.key for one in sent)
    ready = Counter((one.key, one.attempt > 0) for one in audience.found if one.verdict.value == "ready")
    for key, row in rows.items():
        if not key.startswith("loud"):
            continue
        assert row.offered == offered[key]
        assert (row.drafts.emitted, row.healed.emitted) == (ready[key, False], ready[key, True])
        assert row.inapplicable == ready[key, True]
        assert row.repeated == 0
        assert sum(dialogue.labelled.bit_count() for dialogue in row.dialogues) == ready[key, False]


def test_a_worker_that_is_killed_twice_under_load_loses_nothing_and_repeats_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    asyncio.run(_killed(Pipeline(broker.bootstrap, tmp_path)))


async def _killed(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    rng = random.Random(4)
    sent = load(5000, 1)
    audience = Audience(pipeline, len(sent))
    async with pipeline.producer() as producer:
        with pipeline.worker() as worker:
            await worker.until_ready()
            listening = asyncio.create_task(audience.listen(producer))
            flowing = asyncio.create_task(flow(producer, pipeline, sent, 8.0))
            for share in (0.1, 0.5):
                await audience.has_heard(share)
                await asyncio.sleep(rng.random() / 4)
                worker.kill()
                assert not audience.done
                worker.start()
                await worker.until_ready()
            await flowing
            await settled(pipeline, audience)
            listening.cancel()
            await check(pipeline, audience, sent)
            assert worker.terminate() == 0


def test_workers_that_come_and_go_share_the_work(broker: Broker, tmp_path: Path) -> None:
    asyncio.run(_rebalanced(Pipeline(broker.bootstrap, tmp_path)))


async def _rebalanced(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    sent = load(5000, 2)
    audience = Audience(pipeline, len(sent))
    async with pipeline.producer() as producer:
        with ExitStack() as stack:
            one, two = (stack.enter_context(pipeline.worker("one")), pipeline.worker("two"))
            await one.until_ready()
            listening = asyncio.create_task(audience.listen(producer))
            flowing = asyncio.create_task(flow(producer, pipeline, sent, 9.0))
            await asyncio.sleep(2.0)
            stack.enter_context(two)
            await two.until_ready()
            await asyncio.sleep(2.0)
            assert _rows_of(one) | _rows_of(two) == {"rows-0", "rows-1", "rows-2", "rows-3"}
            assert len(_rows_of(one)) == len(_rows_of(two)) == 2
            assert two.terminate() == 0
            await flowing
            await settled(pipeline, audience)
            assert len(_rows_of(one)) == 4
            listening.cancel()
            await check(pipeline, audience, sent)
            assert one.terminate() == 0


def _rows_of(worker: WorkerProcess) -> set[str]:
    partitions = worker.get("/readyz?verbose")[1]["partitions"]
    return {name for name in partitions if name.startswith("rows-")}

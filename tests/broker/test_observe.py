"""A worker that only watches: every scene goes on to `scenes.ready` as it came, and nowhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path

from builders import scene
from kafka_server import Broker
from live import Pipeline
from rejudge import rejudge

from schemas import topics
from streams.settings import Settings
from streams.stages.policy import Gate


def test_what_is_observed_goes_on_at_once_with_what_was_decided(broker: Broker, tmp_path: Path) -> None:
    async def observe() -> None:
        pipeline = Pipeline(broker.bootstrap, tmp_path, gate__mode="observe")
        await pipeline.make_topics()
        sent = [
            scene(turn, f"d{user}", f"u{user}", draft=f"draft {turn} {user}")
            for turn in range(1, 11)
            for user in range(20)
        ]
        with pipeline.worker() as worker:
            await worker.until_ready()
            async with pipeline.producer() as producer:
                await pipeline.send(producer, sent)
            found = await pipeline.outcomes(len(sent))
            ready = await pipeline.read(topics.READY)
            assert len(ready) == len(found) == len(sent)
            for name in (topics.WITHHELD, topics.REASONING, topics.REGENERATE, topics.ANALOGUE):
                assert await pipeline.read(name) == []
            assert {(one.attempt, one.verdict.value, one.flags, one.cue) for one in found} == {
                (0, "ready", ("observed",), None)
            }
            assert {one.lineage[-1].outcome for one in found} >= {"ready", "regenerate", "analogue"}
            records = await pipeline.read(topics.SCENES)
            assert len(records) == len(sent)
            policy = Settings().policy().model_copy(update={"gate": Gate(mode="observe")})
            expected, rows, _ = rejudge(records, policy)
            assert sorted(map(repr, found)) == sorted(map(repr, expected))
            assert await pipeline.rows() == rows
            assert worker.terminate() == 0

    asyncio.run(observe())

"""Recovery of many rows: said while it lasts, whole when it is over, and not done again for what is kept."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kafka_server import Broker
from live import Pipeline, WorkerProcess

from tests.benchmarks.recovery import fill, patterns

ROWS = 40_000


def test_recovery_is_told_and_what_stays_through_a_rebalance_is_not_read_again(broker: Broker, tmp_path: Path) -> None:
    asyncio.run(_recovered(Pipeline(broker.bootstrap, tmp_path)))


async def _recovered(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    await asyncio.to_thread(fill, pipeline, ROWS, patterns(20, 1))
    two = pipeline.worker("two")
    with pipeline.worker("one") as one, ExitStack() as stack:
        told = await _watch(one)
        shares = [body["restoring"]["share"] for body in told if body["restoring"]["of"] == ROWS]
        assert shares == sorted(shares)
        assert any(0 < share < 1 for share in shares), told
        assert not any(body["rows_restored"] for body in told)
        assert one.get("/readyz?verbose")[1]["rows"] == ROWS
        stack.enter_context(two)
        await two.until_ready()
        for _ in range(100):
            if len(one.events("assigned")) == 2:
                break
            await asyncio.sleep(0.1)
    first, second = one.events("assigned")
    assert (first["kept"], second["begun"]) == (0, 0)
    assert second["kept"] == first["begun"] // 2 > 0, "the half that stayed goes on as it was"
    restored = [event["rows"] for worker in (one, two) for event in worker.events("restored")]
    assert restored[:2] == [ROWS, 0]
    assert 0 < restored[2] < ROWS


async def _watch(worker: WorkerProcess) -> list[dict[str, Any]]:
    """Return what /readyz said of restoring until it was ready; /livez answers meanwhile."""
    told: list[dict[str, Any]] = []
    for _ in range(2000):
        status, body = await asyncio.to_thread(worker.get, "/readyz")
        if "restoring" in body:
            told.append(body)
            assert (await asyncio.to_thread(worker.get, "/livez"))[0] == 200
        if status == 200:
            return told
        await asyncio.sleep(0.02)
    raise AssertionError(worker.tail())

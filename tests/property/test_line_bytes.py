"""A partition's line holds so many bytes and no more, whatever the sizes of its records, and lets all of them pass."""

from __future__ import annotations

import asyncio
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kafka.line import Limits
from streams.kafka.records import Received
from tests.unit.test_partition_runner import SCENES, Bench, Record, turns

MOST = 1000


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 1500), min_size=1, max_size=60))
def test_bytes_are_bounded_and_every_record_passes_in_its_order(sizes: list[int]) -> None:
    async def run() -> None:
        bench = Bench(Limits(8, 100, max_buffered_bytes=MOST))
        line = bench.runner._lines[SCENES]
        bench.runner.run()
        left = [Record("scenes", at, b"x" * size, b"") for at, size in enumerate(sizes)]
        held = []
        while left or bench.runner.open_records:
            if left and not bench.runner.is_full(SCENES):
                bench.runner.put(SCENES, cast("list[Received]", [left.pop(0)]))
            held.append((line._waiting_bytes, line._bytes_ahead, len(line._ahead)))
            await turns(3)
        assert [one.value for one in bench.outbox.sent] == [b"x" * size for size in sizes]
        # The record that fills it is taken, and one that is larger than all that goes alone.
        largest = max(sizes)
        assert all(waiting < MOST + largest for waiting, _, _ in held)
        assert all(ahead <= MOST or batches == 1 for _, ahead, batches in held)
        assert (line._waiting_bytes, line._bytes_ahead) == (0, 0)
        await bench.runner.stop()

    asyncio.run(run())


def test_a_partition_with_large_records_is_full_before_it_has_many() -> None:
    async def run() -> None:
        bench = Bench(Limits(8, 100, max_buffered_bytes=MOST))
        bench.scenes.gate.clear()
        bench.runner.run()
        for at in range(2):
            large = Record("scenes", at, b"x" * 900)
            bench.runner.put(SCENES, cast("list[Received]", [large]))
            await turns()
        assert not bench.runner.is_full(SCENES)
        # Headers take room like everything else.
        last = Record("scenes", 2, b"", headers=(("mine", b"x" * 900),))
        bench.runner.put(SCENES, cast("list[Received]", [last]))
        assert bench.runner.is_full(SCENES)
        bench.scenes.gate.set()
        await turns()
        assert bench.rooms
        assert not bench.runner.is_full(SCENES)
        await bench.runner.stop()

    asyncio.run(run())

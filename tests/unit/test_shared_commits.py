from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from streams.kafka.records import Place
from streams.kafka.shared import SharedCommits


def test_commits_that_come_while_one_is_under_way_go_as_one_and_the_last_offset_stands() -> None:
    asked: list[dict[Place, int]] = []

    async def commit(offsets: Mapping[Place, int]) -> None:
        asked.append(dict(offsets))
        await asyncio.sleep(0.02)

    async def several() -> None:
        shared = SharedCommits(commit)
        first = asyncio.create_task(shared.commit({Place("scenes", 0): 3}))
        await asyncio.sleep(0.005)
        given_up = asyncio.create_task(shared.commit({Place("scenes", 1): 5}))
        late = [asyncio.create_task(shared.commit({Place("scenes", 0): offset})) for offset in (7, 9)]
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(first, *late)

    asyncio.run(several())
    assert asked == [{Place("scenes", 0): 3}, {Place("scenes", 1): 5, Place("scenes", 0): 9}]


def test_a_commit_that_fails_is_told_to_those_who_were_part_of_it_and_not_to_the_next() -> None:
    asked: list[int] = []

    async def commit(offsets: Mapping[Place, int]) -> None:
        asked.append(len(offsets))
        await asyncio.sleep(0.01)
        if len(asked) == 1:
            raise OSError("away")

    async def fails() -> None:
        shared = SharedCommits(commit)
        first = asyncio.create_task(shared.commit({Place("scenes", 0): 1}))
        await asyncio.sleep(0.005)
        second = asyncio.create_task(shared.commit({Place("scenes", 1): 1}))
        with pytest.raises(OSError, match="away"):
            await first
        await second

    asyncio.run(fails())
    assert asked == [1, 1]

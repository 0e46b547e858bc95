"""Looks at the dead letters: one at a time, however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import pytest

from streams.ops.dashboard import burials
from streams.ops.dashboard.burials import LiveLetters
from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.veil import Veil
from streams.ops.letters import Graveyard
from streams.settings import KafkaSettings


class Reading:
    """Stands for the dead topics: a look takes until it is let go."""

    def __init__(self) -> None:
        self.begun: list[bool] = []
        self.go = asyncio.Semaphore(0)

    async def graveyard(
        self, _kafka: KafkaSettings, at: datetime, *, texts: bool, name: Callable[[str, str], str] | None
    ) -> Graveyard:
        assert (name is None) == texts
        self.begun.append(texts)
        number = len(self.begun)
        await self.go.acquire()
        return Graveyard(at=at, letters=number, groups=())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_asks_while_a_look_runs_shares_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        reading = Reading()
        monkeypatch.setattr(burials, "graveyard", reading.graveyard)
        live = LiveLetters(Feed(), KafkaSettings(), lambda: None, Veil(b""))
        first = asyncio.create_task(live.look(texts=False))
        await settle()
        later = [asyncio.create_task(live.look(texts=False)) for _ in range(5)]
        words = asyncio.create_task(live.look(texts=True))
        await settle()
        assert reading.begun == [False]
        later.pop().cancel()
        for _ in range(3):
            reading.go.release()
        assert (await first).letters == 1
        assert {(await one).letters for one in later} == {2}
        assert (await words).letters == 3
        assert reading.begun == [False, False, True]

    asyncio.run(scenario())


def test_looks_end_with_the_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        reading = Reading()
        monkeypatch.setattr(burials, "graveyard", reading.graveyard)
        live = LiveLetters(Feed(), KafkaSettings(), lambda: None, Veil(b""))
        asking = [asyncio.create_task(live.look(texts=texts)) for texts in (False, True)]
        await settle()
        await live.end()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in answers)
        assert not live._looks

    asyncio.run(scenario())

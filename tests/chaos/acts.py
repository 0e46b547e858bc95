"""What is done to a cluster while scenes and feedback flow; the moments and the victims are by seed."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streams.settings import KafkaSettings
from tests.broker.kafka_server import JavaBroker
from tests.chaos.audience import Audience
from tests.chaos.crew import Crew
from tests.chaos.proxy import Proxy, State
from tests.chaos.wounds import ARMED

WORKERS = ("one", "two")
THIRD = "three"
# Longer than the session timeout, so that the partitions have another owner when a zombie comes back.
_ZOMBIE_SECONDS = (7.0, 13.0)
_SHARED_WITHIN_LOOKS = 300


@dataclass
class Scenery:
    """What a fault acts on, with its own chance; `struck_at` is the moment from which silence counts."""

    crew: Crew
    broker: JavaBroker
    proxies: Mapping[str, Proxy]
    audience: Audience
    rng: random.Random
    folder: Path
    struck_at: float | None = None

    def strike(self) -> None:
        if self.struck_at is None:
            self.struck_at = time.monotonic()

    def victim(self) -> str:
        return self.rng.choice(WORKERS)

    async def some_time(self, least: float = 0.0, most: float = 1.0) -> None:
        await asyncio.sleep(self.rng.uniform(least, most))


Act = Callable[[Scenery], Awaitable[None]]


async def nothing(scenery: Scenery) -> None:
    """Let all be well, from when there is something to be silent about."""
    await scenery.audience.has_heard(0.1)
    scenery.strike()


async def let_wounds_count(scenery: Scenery) -> None:
    """Let workers die at the points of their wounds, from now on."""
    await scenery.audience.has_heard(0.1)
    await scenery.some_time()
    scenery.strike()
    (scenery.folder / ARMED).touch()


async def kill_at_random(scenery: Scenery) -> None:
    for share in (0.1, 0.45):
        await scenery.audience.has_heard(share)
        await scenery.some_time()
        scenery.strike()
        victim = scenery.victim()
        await scenery.crew.until_ready(victim)
        scenery.crew.signal(victim, signal.SIGKILL)


async def kill_for_good(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.15)
    await scenery.some_time()
    scenery.strike()
    scenery.crew.abandon(scenery.victim())


async def kill_and_again(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.2)
    await let_wounds_count(scenery)
    scenery.crew.signal("one", signal.SIGKILL)


async def a_third_comes(scenery: Scenery) -> None:
    await let_wounds_count(scenery)
    scenery.crew.start(THIRD)
    await scenery.crew.until_ready()


async def stop_and_continue(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.1)
    await scenery.some_time()
    scenery.strike()
    victim = scenery.victim()
    scenery.crew.signal(victim, signal.SIGSTOP)
    await scenery.some_time(*_ZOMBIE_SECONDS)
    scenery.crew.signal(victim, signal.SIGCONT)


async def kill_the_broker(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.1)
    await scenery.some_time()
    await asyncio.to_thread(scenery.broker.kill)
    await scenery.some_time(0.2, 2.0)
    await asyncio.to_thread(scenery.broker.start)
    # How long a broker takes to come back is not the pipeline's.
    scenery.strike()


def cut(state: State, least: float, most: float) -> Act:
    async def act(scenery: Scenery) -> None:
        await scenery.audience.has_heard(0.1)
        await scenery.some_time()
        scenery.strike()
        proxy = scenery.proxies[scenery.victim()]
        proxy.cut(state)
        await scenery.some_time(least, most)
        proxy.cut("open")

    return act


async def _shared(crew: Crew) -> None:
    """Wait until every partition has one worker, and no worker more than one above another."""
    for _ in range(_SHARED_WITHIN_LOOKS):
        shares = [*(await crew.partitions()).values()]
        sizes = [len(share) for share in shares]
        if sum(sizes) == len(set().union(*shares)) == KafkaSettings().partitions and max(sizes) <= min(sizes) + 1:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"the partitions are not shared: {await crew.partitions()}")


async def scale(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.1)
    scenery.strike()
    scenery.crew.start("two")
    await scenery.some_time(0.0, 1.5)
    scenery.crew.start(THIRD)
    await scenery.crew.until_ready()
    await _shared(scenery.crew)
    await scenery.some_time()
    leaving = scenery.rng.sample(["one", "two", THIRD], 2)
    for name in leaving:
        await _drained(scenery, name)
        await scenery.some_time()


async def _drained(scenery: Scenery, name: str) -> None:
    code = await scenery.crew.dismiss(name)
    assert code == 0, f"{name} was told to stop and ended with {code}"


async def roll(scenery: Scenery) -> None:
    for name in WORKERS:
        await scenery.audience.has_heard(0.1)
        await scenery.some_time()
        scenery.strike()
        await _drained(scenery, name)
        scenery.crew.start(name)
        await scenery.crew.until_ready(name)

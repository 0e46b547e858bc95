"""The faults, one row each: what is done to the cluster while scenes and feedback flow, and what is expected of it."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.broker.kafka_server import JavaBroker
from tests.chaos.audience import Audience
from tests.chaos.crew import Crew
from tests.chaos.proxy import Proxy, State
from tests.chaos.wounds import ARMED, dies

WORKERS = ("one", "two")
_THIRD = "three"
# Longer than the session timeout, so that the partitions have another owner when a zombie comes back.
_ZOMBIE_SECONDS = (7.5, 9.0)


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
Wounded = Callable[[random.Random, Path], Mapping[str, Mapping[str, str]]]


async def _nothing(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.1)
    scenery.strike()


async def _let_wounds_count(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.1)
    await scenery.some_time()
    scenery.strike()
    (scenery.folder / ARMED).touch()


def _unwounded(_: random.Random, __: Path) -> Mapping[str, Mapping[str, str]]:
    return {}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by name: what it does, which workers there are and what wounds they carry, and how many of them must end.

    `calm` is one by which nobody may end who was not told to. `culprits` are drafts that no model survives, with the
    reason that their dead letters give.
    """

    name: str
    says: str
    act: Act = _nothing
    wounded: Wounded = _unwounded
    least_ends: int = 0
    calm: bool = False
    workers: tuple[str, ...] = WORKERS
    through_proxies: bool = False
    models: Mapping[str, str] = field(default_factory=dict)
    culprits: Mapping[str, str] = field(default_factory=dict)


async def _kill_at_random(scenery: Scenery) -> None:
    for share in (0.1, 0.45):
        await scenery.audience.has_heard(share)
        await scenery.some_time()
        scenery.strike()
        victim = scenery.victim()
        await scenery.crew.until_ready(victim)
        scenery.crew.signal(victim, signal.SIGKILL)


async def _kill_for_good(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.15)
    await scenery.some_time()
    scenery.strike()
    scenery.crew.abandon(scenery.victim())


async def _kill_and_again(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.2)
    await _let_wounds_count(scenery)
    scenery.crew.signal("one", signal.SIGKILL)


async def _a_third_comes(scenery: Scenery) -> None:
    await _let_wounds_count(scenery)
    scenery.crew.start(_THIRD)
    await scenery.crew.until_ready()


async def _stop_and_continue(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.1)
    await scenery.some_time()
    scenery.strike()
    victim = scenery.victim()
    scenery.crew.signal(victim, signal.SIGSTOP)
    await scenery.some_time(*_ZOMBIE_SECONDS)
    scenery.crew.signal(victim, signal.SIGCONT)


async def _kill_the_broker(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.1)
    await scenery.some_time()
    scenery.strike()
    await asyncio.to_thread(scenery.broker.kill)
    await scenery.some_time(0.2, 2.0)
    await asyncio.to_thread(scenery.broker.start)


def _cut(state: State, least: float, most: float) -> Act:
    async def act(scenery: Scenery) -> None:
        await scenery.audience.has_heard(0.1)
        await scenery.some_time()
        scenery.strike()
        proxy = scenery.proxies[scenery.victim()]
        proxy.cut(state)
        await scenery.some_time(least, most)
        proxy.cut("open")

    return act


async def _scale(scenery: Scenery) -> None:
    await scenery.audience.has_heard(0.1)
    scenery.strike()
    scenery.crew.start("two")
    await scenery.some_time(0.0, 1.5)
    scenery.crew.start(_THIRD)
    await scenery.crew.until_ready()
    await scenery.some_time()
    leaving = scenery.rng.sample(["one", "two", _THIRD], 2)
    for name in leaving:
        await _drained(scenery, name)
        await scenery.some_time()


async def _drained(scenery: Scenery, name: str) -> None:
    code = await scenery.crew.dismiss(name)
    assert code == 0, f"{name} was told to stop and ended with {code}"


async def _roll(scenery: Scenery) -> None:
    for name in WORKERS:
        await scenery.audience.has_heard(0.1)
        await scenery.some_time()
        scenery.strike()
        await _drained(scenery, name)
        scenery.crew.start(name)
        await scenery.crew.until_ready(name)


def _dies(point: str, least: int, most: int, names: tuple[str, ...] = ("one",)) -> Wounded:
    def wounded(rng: random.Random, folder: Path) -> Mapping[str, Mapping[str, str]]:
        return {name: dies(point, rng.randint(least, most), folder, name) for name in names}

    return wounded


def _one_of(*chances: Wounded) -> Wounded:
    def wounded(rng: random.Random, folder: Path) -> Mapping[str, Mapping[str, str]]:
        return rng.choice(chances)(rng, folder)

    return wounded


FAULTS: tuple[Fault, ...] = (
    Fault("none", "nothing happens: the uninterrupted run", calm=True),
    Fault("kill", "kill -9 of a worker at random moments, twice", _kill_at_random, least_ends=2),
    Fault("kill-for-good", "kill -9 of a worker that nobody starts again", _kill_for_good),
    Fault(
        "kill-before-outputs",
        "kill -9 with rows changed in memory and nothing sent",
        _let_wounds_count,
        wounded=_dies("before outputs", 1, 60, WORKERS),
        least_ends=2,
    ),
    Fault(
        "kill-before-commit",
        "kill -9 between the outputs of a transaction and its commit",
        _let_wounds_count,
        wounded=_dies("before commit", 1, 60, WORKERS),
        least_ends=2,
    ),
    Fault(
        "kill-during-commit",
        "kill -9 while a commit is on its way, or just after it",
        _let_wounds_count,
        wounded=_one_of(_dies("during commit", 1, 60, WORKERS), _dies("after commit", 1, 60, WORKERS)),
        least_ends=2,
    ),
    Fault(
        "kill-restoring",
        "kill -9, and again while the rows are restored",
        _kill_and_again,
        wounded=_dies("restoring", 1, 2),
        least_ends=2,
    ),
    Fault(
        "kill-rebalancing",
        "kill -9 of a worker that gives partitions up, or of the one that takes them over",
        _a_third_comes,
        wounded=_one_of(
            _dies("giving up", 1, 1),
            _dies("given up", 1, 1),
            _dies("fenced", 1, 1, (_THIRD,)),
            _dies("taken over", 1, 1, (_THIRD,)),
        ),
        least_ends=1,
    ),
    Fault("zombie", "SIGSTOP past the session timeout, then SIGCONT", _stop_and_continue),
    Fault("broker", "kill -9 of the broker, which comes back", _kill_the_broker),
    Fault(
        "network-closed", "connections of a worker reset and refused", _cut("closed", 1.0, 9.0), through_proxies=True
    ),
    Fault("network-silent", "a worker's cable pulled", _cut("silent", 2.0, 12.0), through_proxies=True),
    Fault("scale", "1 worker, then 3, then 1", _scale, workers=("one",), calm=True),
    Fault("rolling", "SIGTERM and a new start, one worker after the other", _roll, calm=True),
    Fault(
        "model-raises",
        "a model that raises on one scene",
        calm=True,
        models={"FAKE_FAILS_ON": "poison"},
        culprits={"poison": "ZeroDivisionError"},
    ),
    Fault(
        "model-hangs",
        "a model that hangs on one scene",
        least_ends=3,
        models={"FAKE_HANGS_ON": "poison", "SCENESTREAM_MODELS__DEADLINE_SECONDS": "1"},
        culprits={"poison": "hung"},
    ),
    Fault(
        "stage-breaks",
        "a stage that raises on one scene after rows were touched",
        least_ends=3,
        models={"FAKE_BREAKS_ON": "poison"},
        culprits={"poison": "AttributeError"},
    ),
)


def find(name: str) -> Fault:
    """Return the fault of a name; raises LookupError that lists the names."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise LookupError(f"there is no fault {name!r}; there are {', '.join(fault.name for fault in FAULTS)}")

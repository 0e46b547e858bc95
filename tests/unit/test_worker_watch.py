from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.kafka.catching_up import CatchingUp
from streams.kafka.groups import Groups
from streams.kafka.records import Place
from streams.runtimes import worker_watch
from streams.runtimes.worker_watch import BEGINNING, LOOP, POLL, Stalled, Watch, Watchdog, marks_of

SCENES, FEEDBACK = Place("scenes", 0), Place("feedback", 0)
TAKEN = {SCENES: 10}


@dataclass
class Runner:
    name: str = "rows-0"
    open_records: int = 0
    committed_offsets: dict[Place, int] = field(default_factory=dict)
    next_offsets: dict[Place, int] = field(default_factory=dict)
    places: tuple[Place, ...] = (SCENES,)

    def is_open(self, place: Place) -> bool:
        return self.next_offsets.get(place, 0) > self.committed_offsets.get(place, 0)


@dataclass
class Owned:
    runners: tuple[Runner, ...] = (Runner(),)
    restored: bool = True
    draining: bool = False
    epoch: int = 1
    polls: int = 0
    catching_up: CatchingUp = field(default_factory=CatchingUp)

    @property
    def polled_at_seconds(self) -> float:
        self.polls += 1
        return float(self.polls)


def marks(owned: Owned, ends: Mapping[Place, tuple[int | None, int]] | None = None) -> Mapping[str, object]:
    return marks_of(cast("Groups", owned), ends or {})


def test_what_does_not_move_is_counted_until_it_moves() -> None:
    watch = Watch()
    for passed, mark in enumerate([1, 1, 1]):
        watch.look({"rows-0": mark, "rows-1": passed}, 2.0, reached=True)
    assert watch.stalled(3.0) == {"rows-0": 4.0}
    watch.look({"rows-0": 2, "rows-1": 3}, 2.0, reached=True)
    assert watch.stalled(0.0) == {}


@pytest.mark.parametrize("mark", [None, 1])
def test_what_is_at_rest_or_was_given_up_does_not_stall(mark: object) -> None:
    watch = Watch()
    for _ in range(5):
        watch.look({"rows-0": mark} if mark is None else {}, 2.0, reached=True)
    assert watch.stalled(0.0) == {}


def test_while_kafka_is_away_only_the_loop_can_stall() -> None:
    watch = Watch()
    for reached in (True, True, False, False):
        watch.look({"rows-0": 1, LOOP: 1}, 2.0, reached=reached)
    assert watch.stalled(0.0) == {"rows-0": 2.0, LOOP: 6.0}


def test_a_topic_is_at_rest_at_its_end_with_nothing_open() -> None:
    assert marks(Owned())["scenes-0"] is None
    assert marks(Owned(), {SCENES: (7, 7)})["scenes-0"] is None
    assert marks(Owned(), {SCENES: (6, 7)})["scenes-0"] is not None
    assert marks(Owned(), {SCENES: (None, 7)})["scenes-0"] is not None


def test_open_records_move_by_commits_and_the_consumer_by_its_position() -> None:
    busy = Owned((Runner(next_offsets=TAKEN, committed_offsets={SCENES: 4}),))
    assert marks(busy, {SCENES: (10, 19)})["scenes-0"] == marks(busy, {SCENES: (12, 19)})["scenes-0"] is not None
    idle = Owned((Runner(next_offsets={SCENES: 4}, committed_offsets={SCENES: 4}),))
    assert marks(idle, {SCENES: (6, 9)})["scenes-0"] != marks(idle, {SCENES: (8, 9)})["scenes-0"]


@pytest.mark.parametrize(
    ("taken", "ends"),
    [({FEEDBACK: 3}, {FEEDBACK: (3, 3)}), ({FEEDBACK: 2}, {FEEDBACK: (2, 3)}), ({}, {FEEDBACK: (0, 3)})],
)
def test_feedback_that_stands_still_while_scenes_move_stalls(
    taken: dict[Place, int], ends: dict[Place, tuple[int | None, int]]
) -> None:
    runner = Runner(places=(SCENES, FEEDBACK), next_offsets={SCENES: 100, **taken})
    owned, watch = Owned((runner,)), Watch()
    for done in range(1, 6):
        runner.committed_offsets = {SCENES: done, **({FEEDBACK: 2} if taken else {})}
        watch.look(marks(owned, ends), 2.0, reached=True)
    assert watch.stalled(0.0) == {"feedback-0": 8.0}


def test_what_waits_for_another_topic_to_catch_up_does_not_stall() -> None:
    owned = Owned((Runner(places=(SCENES, FEEDBACK)),), catching_up=CatchingUp("scenes", frozenset({"feedback"})))
    ends: Mapping[Place, tuple[int | None, int]] = {SCENES: (6, 7), FEEDBACK: (6, 7)}
    assert "feedback-0" in marks(owned, ends)
    owned.catching_up.begin([SCENES])
    assert marks(owned, ends).keys() == {POLL, "scenes-0"}


def test_a_worker_that_begins_or_drains_is_watched_for_that_alone() -> None:
    assert marks(Owned(restored=False)) == {BEGINNING: 1}
    assert marks(Owned(draining=True)) == {}
    assert marks(Owned())[POLL] != marks(Owned(polls=1))[POLL]


def dog(owned: Owned, fail: Callable[[BaseException], Any], limit_seconds: float = 0.24) -> Watchdog:
    async def ask() -> Mapping[Place, tuple[int, int]]:
        return {}

    async def take_back() -> None:
        """Take nothing back."""

    def busy() -> Mapping[str, float | None]:
        return {"encoder": 3.04, "models": None}

    return Watchdog(cast("Groups", owned), ask, busy, fail, limit_seconds, 0.6, take_back)


@pytest.mark.parametrize(
    ("owned", "what", "least_seconds"),
    [(Owned((Runner(next_offsets=TAKEN),)), "scenes-0", 0.2), (Owned(restored=False), BEGINNING, 0.5)],
)
def test_a_stall_is_told_with_what_was_seen(owned: Owned, what: str, least_seconds: float) -> None:
    told: list[BaseException] = []

    async def run() -> float:
        watchdog = dog(owned, told.append)
        watchdog.start(asyncio.get_running_loop())
        began = time.monotonic()
        # On a machine that is busy the loop may be told before.
        while not any(what in str(one) for one in told):  # noqa: ASYNC110 - a thread tells it
            await asyncio.sleep(0.02)
        assert what in watchdog.stalled(0.1)
        return time.monotonic() - began

    assert asyncio.run(asyncio.wait_for(run(), 60)) > least_seconds
    assert all(isinstance(one, Stalled) for one in told)


def test_a_loop_that_hangs_is_told_from_outside() -> None:
    told: list[BaseException] = []

    async def run() -> None:
        dog(Owned(), told.append).start(asyncio.get_running_loop())
        await asyncio.sleep(0.1)
        hung = threading.Event()
        for _ in range(1000):
            if told:
                break
            hung.wait(0.05)

    asyncio.run(run())
    assert LOOP in str(told[0])


def test_a_worker_that_works_is_left_alone() -> None:
    told: list[BaseException] = []

    async def run() -> None:
        runner = Runner(next_offsets=TAKEN)
        dog(Owned((runner,)), told.append).start(asyncio.get_running_loop())
        for done in range(20):
            runner.committed_offsets = {SCENES: done}
            await asyncio.sleep(0.03)

    asyncio.run(run())
    assert told == []


def test_a_stall_is_told_although_nothing_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hangs in a write to a full pipe holds the log's lock."""
    told: list[BaseException] = []
    read, gave_up = threading.Event(), threading.Event()

    def write(_: str) -> None:
        if not read.wait(5):
            gave_up.set()

    monkeypatch.setattr(worker_watch, "_SAID_WITHIN_SECONDS", 0.01, raising=False)
    monkeypatch.setattr("sys.stderr", SimpleNamespace(write=write, flush=lambda: None, fileno=lambda: 2))
    monkeypatch.setattr(worker_watch._log, "critical", lambda *_, **__: write(""), raising=False)
    watchdog = dog(Owned((Runner(next_offsets=TAKEN),)), told.append)
    watchdog._reached = True
    for _ in range(30):
        watchdog.look()
        if told:
            break
    assert isinstance(told[0], Stalled)
    assert not gave_up.is_set()
    read.set()
    for thread in threading.enumerate():
        if thread.name == "watchdog-says":
            thread.join(5)


@pytest.mark.parametrize(("what", "blamed"), [("scenes-0", False), (POLL, False), (LOOP, True)])
def test_what_was_noted_of_records_is_taken_back_where_the_loop_goes_on(what: str, blamed: bool) -> None:
    told: list[BaseException | None] = []

    async def take_back() -> None:
        told.append(None)

    async def run() -> None:
        watchdog = dog(Owned((Runner(next_offsets=TAKEN),)), told.append)
        watchdog._take_back, watchdog._loop = take_back, asyncio.get_running_loop()
        await asyncio.to_thread(watchdog._tell, {what: 7.0})

    asyncio.run(run())
    assert [type(one) for one in told] == ([Stalled] if blamed else [type(None), Stalled])


def test_kafka_is_not_reached_while_it_keeps_us_waiting_for_an_answer() -> None:
    async def run() -> None:
        watchdog = dog(Owned(), lambda _: None)
        answers: asyncio.Queue[Mapping[Place, tuple[int, int]]] = asyncio.Queue()
        watchdog._ask = answers.get

        async def turns(count: int) -> bool:
            for _ in range(count):
                watchdog._turn()
                await asyncio.sleep(0)
            return watchdog.reached

        answers.put_nowait({})
        assert await turns(1)
        assert await turns(4)
        assert not await turns(1)
        answers.put_nowait({})
        assert await turns(2)

    asyncio.run(run())


def test_an_answer_that_fails_is_no_answer() -> None:
    async def run() -> None:
        watchdog = dog(Owned(), lambda _: None)
        watchdog._reached, watchdog._ends = True, {SCENES: (6, 7)}

        async def ask() -> None:
            raise LookupError("consumer")

        watchdog._ask = ask
        await watchdog._ask_kafka()
        assert not watchdog.reached
        assert watchdog._ends == {}

    asyncio.run(run())

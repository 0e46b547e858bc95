"""The watchdog: ends a worker that has work, reaches Kafka, and commits nothing."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from streams.kafka.catching_up import Ends
from streams.kafka.groups import Groups
from streams.kafka.partition import PartitionRunner
from streams.kafka.records import Place

_log = structlog.get_logger(__name__)
_LOOKS_A_LIMIT = 24
# Whoever has not answered for so many looks is not reached: what waits for Kafka is not to be counted meanwhile.
_LOOKS_TO_ANSWER = 4
_LONGEST_INTERVAL_SECONDS = 5.0
_SAID_WITHIN_SECONDS = 5.0
# What moves on while a worker is all right, beside its partitions.
LOOP, POLL, BEGINNING = "event loop", "poll", "beginning"


class Stalled(Exception):  # noqa: N818 - what it is, not that it is an error
    """A worker that gets nowhere; the message says with what and for how long."""


@dataclass(slots=True)
class Watch:
    """Counts for how long each thing has not moved.

    It is told what has passed between two looks and reads no clock: a process that was stopped for a minute has not
    stalled for one.
    """

    _seconds: dict[str, float] = field(default_factory=dict)
    _marks: dict[str, object] = field(default_factory=dict)

    def look(self, marks: Mapping[str, object], passed_seconds: float, *, reached: bool) -> None:
        """Take a look: a mark changes when its thing moves, and is None where that is at rest.

        While Kafka is not `reached` nothing can move, and time does not count, but for the event loop.
        """
        seconds: dict[str, float] = {}
        for name, mark in marks.items():
            moved = mark is None or mark != self._marks.get(name)
            counts = reached or name == LOOP
            seconds[name] = 0.0 if moved else self._seconds.get(name, 0.0) + passed_seconds * counts
        # Replaced and not changed: another thread reads it.
        self._marks, self._seconds = dict(marks), seconds

    def stalled(self, limit_seconds: float) -> Mapping[str, float]:
        """Return {what: seconds} for what has not moved for longer."""
        return {name: round(seconds, 1) for name, seconds in self._seconds.items() if seconds > limit_seconds}


def marks_of(groups: Groups, ends: Ends) -> Mapping[str, object]:
    """Return what should move now, and how far it is.

    Each topic of a partition is watched by itself, or feedback could stand still behind scenes that move. A place is at
    rest where no record of it is open and the consumer stands at its end; else its mark is what was committed, and
    where the consumer stands when nothing is open. One that finds no place to stand is not at rest.
    """
    if groups.draining:
        return {}
    if not groups.restored:
        return {BEGINNING: groups.epoch}
    held = groups.catching_up.held
    marks: dict[str, object] = {POLL: groups.polled_at_seconds}
    for runner in groups.runners:
        marks |= {_name(place): _mark(runner, place, ends) for place in runner.places if place not in held}
    return marks


def _name(place: Place) -> str:
    return f"{place.topic}-{place.partition}"


def _mark(runner: PartitionRunner, place: Place, ends: Ends) -> object:
    committed = runner.committed_offsets.get(place)
    if runner.is_open(place):
        return ("open", committed)
    if place not in ends:
        return None
    position, end = ends[place]
    return ("behind", committed, position) if position is None or position < end else None


class Watchdog:
    """A thread that looks at the worker; not a task, for the event loop may be what hangs.

    Kafka being away is not a stall: the worker waits for it and says so. To begin (fence and restore) may take
    `beginning_seconds`, all else `limit_seconds`. `fail` is told of a stall, after what was seen is in the log. Where
    the event loop goes on no record is to blame for it, and `take_back` takes back what was noted of any.
    """

    def __init__(
        self,
        groups: Groups,
        ask: Callable[[], Awaitable[Ends | None]],
        busy: Callable[[], Mapping[str, float | None]],
        fail: Callable[[BaseException], Any],
        limit_seconds: float,
        beginning_seconds: float,
        take_back: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._groups = groups
        self._ask = ask
        self._busy = busy
        self._fail = fail
        self._limit_seconds = limit_seconds
        self._beginning_seconds = beginning_seconds
        self._take_back = take_back
        self._loop: asyncio.AbstractEventLoop | None = None
        self._taking_back: asyncio.Task[None] | None = None
        self._interval_seconds = min(_LONGEST_INTERVAL_SECONDS, limit_seconds / _LOOKS_A_LIMIT)
        self._watch = Watch()
        self._ends: Ends = {}
        self._reached = False
        self._turns = 0
        self._asked_at_turn = 0
        self._asking: asyncio.Task[None] | None = None

    @property
    def reached(self) -> bool:
        """Whether Kafka answered when it was last asked, or was asked just now."""
        return self._reached

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look, in a thread that nobody waits for."""
        self._loop = loop
        threading.Thread(target=self._run, args=(loop,), name="watchdog", daemon=True).start()

    def stalled(self, limit_seconds: float) -> Mapping[str, float]:
        """Return {what: seconds} for what has not moved for longer than it may."""
        return {
            name: seconds
            for name, seconds in self._watch.stalled(limit_seconds).items()
            if name != BEGINNING or seconds > self._beginning_seconds
        }

    def look(self) -> None:
        """Look once, an interval after the last time, and tell of a stall."""
        marks = {LOOP: self._turns, **marks_of(self._groups, self._ends)}
        self._watch.look(marks, self._interval_seconds, reached=self._reached)
        found = self.stalled(self._limit_seconds)
        if found and not self._groups.draining:
            self._tell(found)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = threading.Event()
        while not pause.wait(self._interval_seconds) and not loop.is_closed():
            if loop.is_running():
                self.look()
                with suppress(RuntimeError):
                    # It may have been closed meanwhile.
                    loop.call_soon_threadsafe(self._turn)

    def _turn(self) -> None:
        self._turns += 1
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_kafka(), name="watchdog-asks")
            self._asked_at_turn = self._turns
        elif self._turns - self._asked_at_turn >= _LOOKS_TO_ANSWER:
            self._reached = False

    async def _ask_kafka(self) -> None:
        ends = None
        try:
            ends = await self._ask()
        except Exception as error:  # noqa: BLE001 - what is not known is not held against the worker
            _log.warning("watchdog_is_not_answered", error=repr(error))
        self._reached, self._ends = ends is not None, ends or {}

    def _tell(self, found: Mapping[str, float]) -> None:
        # Whoever hangs may hold the log's lock.
        saying = threading.Thread(target=self._say, args=(found,), name="watchdog-says", daemon=True)
        saying.start()
        saying.join(_SAID_WITHIN_SECONDS)
        what = ", ".join(f"{name} for {seconds:g} s" for name, seconds in found.items())
        if self._loop is not None and LOOP not in found:
            done = threading.Event()
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._begin_to_take_back, done)
                done.wait(_SAID_WITHIN_SECONDS)
        self._fail(Stalled(f"no progress: {what}"))

    def _begin_to_take_back(self, done: threading.Event) -> None:
        self._taking_back = asyncio.create_task(self._take_back(), name="take-notes-back")
        # Taken back or not, it is the end.
        self._taking_back.add_done_callback(lambda _: done.set())

    def _say(self, found: Mapping[str, float]) -> None:
        runners = self._groups.runners
        _log.critical(
            "worker_stalls",
            stalled=found,
            partitions={
                runner.name: _seen(runner, self._ends)
                for runner in runners
                if any(_name(place) in found for place in runner.places)
            },
            models_busy_seconds={name: seconds and round(seconds, 1) for name, seconds in self._busy().items()},
            restored=self._groups.restored,
        )
        # Where each thread is: lines of code, no words of anybody. (To write with faulthandler, which keeps all other
        # threads from running, would wait for ever on a pipe that nobody reads.)
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():  # noqa: SLF001 - there is no other way
            frames = "".join(traceback.format_stack(frame))
            sys.stderr.write(f"Thread {names.get(ident, ident)}:\n{frames}")


def _seen(runner: PartitionRunner, ends: Ends) -> Mapping[str, object]:
    return {
        "open": runner.open_records,
        **{
            place.topic: {
                "committed": runner.committed_offsets.get(place),
                "taken": runner.next_offsets.get(place),
                "position": ends.get(place, (None, None))[0],
                "end": ends.get(place, (None, None))[1],
            }
            for place in runner.places
        },
    }

"""Processes that die on records, with no word: each record that kills is put aside, all others are done in order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kafka.line import Limits
from streams.kafka.partition import PartitionRunner
from streams.kafka.records import Group, Handler, Outgoing, Place, Received
from streams.kafka.suspects import Convicted, Suspects

TOPICS = ("scenes", "scenes.analogue")
# In company, in a first batch that is noted, and twice alone; and twice in what follows the first batches, where these
# are so small that it is among the next ones.
MOST_DEATHS = 6
Ident = tuple[str, int, int]


@dataclass
class Record:
    topic: str
    partition: int
    offset: int
    value: bytes = b"v"
    key: bytes = b"k"
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0


@dataclass
class Kafka:
    """What outlives processes: records, offsets, notes and outputs."""

    sizes: Mapping[Place, int]
    deadly: frozenset[Ident]
    poison: frozenset[Ident]
    offsets: dict[Place, int] = field(default_factory=dict)
    notes: list[tuple[bytes, bytes | None, int]] = field(default_factory=list)
    outputs: list[Outgoing] = field(default_factory=list)

    def write(self, notes: Sequence[Outgoing]) -> None:
        self.notes += [(one.key or b"", one.value, one.partition or 0) for one in notes]

    @property
    def done(self) -> bool:
        return all(self.offsets.get(place, 0) == size for place, size in self.sizes.items())


class Process:
    """A worker until it dies; after that nothing of it is committed or noted any more."""

    def __init__(self, kafka: Kafka, limits: Limits, rng: random.Random) -> None:
        self.kafka, self.rng = kafka, rng
        self.dead = asyncio.Event()
        suspects = Suspects("suspects", "one", write=self.write)
        numbers = sorted({place.partition for place in kafka.sizes})
        for number in numbers:
            suspects.drop(number)
            records = [Record("suspects", number, 0, cast("bytes", v), k) for k, v, n in kafka.notes if n == number]
            suspects.restore(number, cast("list[Received]", records))
        group = Group("rows", tuple(Deadly(topic, self) for topic in TOPICS), None)
        self.runners = [
            PartitionRunner(group, number, Box(self), limits, suspects, lambda: None, self.fail) for number in numbers
        ]

    async def live(self, turns: int) -> None:
        """Work until all is done, or it dies, or for so many turns, after which it is told to stop."""
        for runner in self.runners:
            for place in runner.places:
                first = self.kafka.offsets.get(place, 0)
                there = [Record(*place, offset) for offset in range(first, self.kafka.sizes[place])]
                runner.put(place, cast("list[Received]", there))
            runner.run()
        while turns and not self.kafka.done and not self.dead.is_set():
            turns -= 1
            await asyncio.sleep(0)
        for runner in self.runners:
            if not await self._stops(runner):
                runner.halt()

    async def _stops(self, runner: PartitionRunner) -> bool:
        """Stop; return whether it lived to see the end of that."""
        dying = asyncio.create_task(self.dead.wait())
        stopping = asyncio.create_task(runner.stop())
        await asyncio.wait([dying, stopping], return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        stopping.cancel()
        return not self.dead.is_set()

    async def write(self, notes: Sequence[Outgoing]) -> None:
        await self.lives()
        self.kafka.write(notes)

    async def lives(self) -> None:
        """Take some turns; of a process that is dead nobody hears again."""
        for _ in range(self.rng.randint(0, 4)):
            await asyncio.sleep(0)
        if self.dead.is_set():
            await asyncio.Event().wait()

    def fail(self, error: BaseException) -> None:
        raise AssertionError(error)


class Deadly(Handler[bytes]):
    def __init__(self, topic: str, process: Process) -> None:
        self.topic = self.stage = topic
        self.process = process

    async def prepare(self, records: Sequence[Received]) -> Sequence[bytes]:
        await self.process.lives()
        kafka, idents = self.process.kafka, {(one.topic, one.partition, one.offset) for one in records}
        if idents & kafka.deadly:
            self.process.dead.set()
            await asyncio.Event().wait()
        if idents & kafka.poison:
            raise ZeroDivisionError
        return [b""] * len(records)

    def apply(self, records: Sequence[Received], prepared: Sequence[bytes]) -> Iterable[Outgoing]:
        return [Outgoing("done", _ident(record), one) for record, one in zip(records, prepared, strict=True)]

    def bury(self, record: Received, error: Exception) -> Outgoing:
        why = error.suspect.exception if isinstance(error, Convicted) else type(error).__name__
        return Outgoing("dead", _ident(record), why.encode())


class Box:
    def __init__(self, process: Process) -> None:
        self.process = process

    async def start(self) -> None: ...

    async def send(self, outputs: Sequence[Outgoing], rows: Sequence[Outgoing], offsets: Mapping[Place, int]) -> None:
        del rows
        await self.process.lives()
        kafka = self.process.kafka
        kafka.offsets.update(offsets)
        kafka.outputs += [one for one in outputs if one.topic != "suspects"]
        kafka.write([one for one in outputs if one.topic == "suspects"])

    async def flush(self) -> None: ...

    async def stop(self) -> None: ...


def _ident(record: Received) -> bytes:
    return _named((record.topic, record.partition, record.offset))


def _named(ident: Ident) -> bytes:
    return repr(ident).encode()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 3))
def test_what_kills_is_put_aside_and_all_else_is_done_once_and_in_order(
    seed: int, culprits: int, poisonous: int
) -> None:
    rng = random.Random(seed)
    sizes = {Place(topic, number): rng.randint(0, 30) for number in range(2) for topic in TOPICS}
    every = [(*place, offset) for place, size in sizes.items() for offset in range(size)]
    deadly = frozenset(rng.sample(every, min(culprits, len(every))))
    poison = frozenset(rng.sample(every, min(poisonous, len(every)))) - deadly
    kafka = Kafka(sizes, deadly, poison)
    limits = Limits(rng.choice([1, 3, 8, 50]), 100)

    async def lives() -> int:
        deaths = 0
        while not kafka.done:
            process = Process(kafka, limits, rng)
            await process.live(rng.choice([5, 50, 500, 5000]))
            deaths += process.dead.is_set()
            assert deaths <= MOST_DEATHS * len(deadly), "it dies for ever"
        return deaths

    asyncio.run(lives())
    dead = {one.key: one.value for one in kafka.outputs if one.topic == "dead"}
    assert dead == {_named(one): b"died" for one in deadly} | {_named(one): b"ZeroDivisionError" for one in poison}
    assert Counter(one.key for one in kafka.outputs) == Counter(_named(one) for one in every)
    for place in sizes:
        done = [one.key for one in kafka.outputs if one.topic == "done"]
        in_order = [_named(one) for one in every if one[:2] == place and _named(one) not in dead]
        assert [key for key in done if key in {*in_order}] == in_order
    last: dict[bytes, bytes | None] = {key: value for key, value, _ in kafka.notes}
    assert set(last.values()) <= {None}

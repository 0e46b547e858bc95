from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import pytest

from streams.kafka.bisect import prepare
from streams.kafka.dead_letters import Failure, bury
from streams.kafka.line import Limits
from streams.kafka.partition import LogError, PartitionRunner
from streams.kafka.records import Group, Handler, HandlerError, Headers, Outgoing, Place, Received
from streams.kafka.suspects import BatchError, Hung, Suspects, asking

FEW = Limits(4, 8)
SCENES, LABELS = Place("scenes", 0), Place("labels", 0)


@dataclass
class Record:
    topic: str
    offset: int
    value: bytes = b"good"
    key: bytes = b"k"
    partition: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0


def records(topic: str, first: int, count: int, bad: Iterable[int] = ()) -> list[Received]:
    wanted = [Record(topic, first + number, b"bad" if number in set(bad) else b"good") for number in range(count)]
    return cast("list[Received]", wanted)


class Echo(Handler[bytes]):
    def __init__(self, topic: str) -> None:
        self.topic = self.stage = topic
        self.asked: list[int] = []
        self.alone: list[bool] = []
        self.buried: list[Exception] = []
        self.broken = self.hangs = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def prepare(self, records: Sequence[Received]) -> Sequence[bytes]:
        self.asked.append(len(records))
        about = asking.get()
        assert about is not None
        assert list(about.records) == list(records)
        self.alone.append(about.suspect is not None)
        await self.gate.wait()
        if self.hangs:
            raise Hung("no answer")
        if any(record.value == b"bad" for record in records):
            raise ValueError("bad")
        return [record.value or b"" for record in records]

    def apply(self, records: Sequence[Received], prepared: Sequence[bytes]) -> Iterable[Outgoing]:
        if self.broken:
            raise ZeroDivisionError
        return [Outgoing("out", record.key, value) for record, value in zip(records, prepared, strict=True)]

    def bury(self, record: Received, error: Exception) -> Outgoing:
        self.buried.append(error)
        return bury(record, Failure("group", self.stage, type(error).__name__, str(error), datetime.now(UTC)))


class Kept:
    changelog = "rows"

    def drop(self, number: int) -> None: ...

    def restore(self, number: int, records: Sequence[Received]) -> None: ...

    def take_changes(self, number: int) -> Sequence[tuple[bytes, bytes | None, Headers]]:
        return [(b"k", f"row of {number}".encode(), ())]


@dataclass
class Sent:
    """An outbox that remembers; `slow` holds commits back until it is set, and it may refuse several topics at once."""

    batches: list[tuple[list[str], list[str], dict[Place, int]]] = field(default_factory=list)
    open: bool = True
    slow: asyncio.Event = field(default_factory=asyncio.Event)
    sending: int = 0
    sent: list[Outgoing] = field(default_factory=list)
    refuses: Exception | None = None
    refuses_one: bool = False

    async def start(self) -> None: ...

    async def send(self, outputs: Sequence[Outgoing], rows: Sequence[Outgoing], offsets: Mapping[Place, int]) -> None:
        assert self.open
        self.sending += 1
        assert self.sending == 1, "one transaction at a time"
        await self.slow.wait()
        self.sending -= 1
        if self.refuses is not None and (self.refuses_one or len(offsets) > 1):
            raise self.refuses
        self.sent += outputs
        self.batches.append(([one.topic for one in outputs], [one.topic for one in rows], dict(offsets)))

    async def flush(self) -> None: ...

    async def stop(self) -> None:
        self.open = False


class Bench:
    def __init__(self, limits: Limits = FEW, suspects: Suspects | None = None) -> None:
        self.scenes, self.labels = Echo("scenes"), Echo("labels")
        self.outbox = Sent()
        self.outbox.slow.set()
        self.failures: list[BaseException] = []
        self.rooms: list[bool] = []
        self.suspects = suspects or Suspects("suspects", "one")
        group = Group("rows", (self.scenes, self.labels), Kept())
        self.runner = PartitionRunner(
            group, 0, self.outbox, limits, self.suspects, lambda: self.rooms.append(True), self.failures.append
        )


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def in_flight(count: int) -> Bench:
    """Return a bench of two records a transaction that was given so many, and whose first batch is being sent."""
    bench = Bench(Limits(2, 100))
    bench.outbox.slow.clear()
    bench.runner.put(SCENES, records("scenes", 0, count))
    bench.runner.run()
    await turns()
    return bench


def test_batches_are_committed_in_order_and_topics_take_turns() -> None:
    async def run() -> None:
        bench = Bench()
        bench.runner.put(SCENES, records("scenes", 10, 6))
        bench.runner.put(LABELS, records("labels", 0, 2))
        bench.runner.run()
        await turns()
        assert [offsets for _, _, offsets in bench.outbox.batches] == [{LABELS: 2}, {SCENES: 14}, {SCENES: 16}]
        assert all(rows == ["rows"] for _, rows, _ in bench.outbox.batches)
        assert bench.runner.open_records == 0
        await bench.runner.stop()

    asyncio.run(run())


def test_the_next_batches_are_prepared_while_one_is_committed_and_no_further() -> None:
    async def run() -> None:
        bench = await in_flight(20)
        assert bench.outbox.batches == []
        assert bench.outbox.sending == 1
        assert bench.scenes.asked == [2, 2, 2]
        bench.outbox.slow.set()
        await turns(200)
        assert len(bench.outbox.batches) == 10
        await bench.runner.stop()

    asyncio.run(run())


def test_what_comes_is_prepared_at_once_and_committed_in_its_order() -> None:
    """Whoever is still being prepared keeps nobody from the models, and nobody behind it is committed first."""

    async def run() -> None:
        bench = Bench(Limits(8, 100))
        bench.runner.run()
        bench.scenes.gate.clear()
        bench.runner.put(SCENES, records("scenes", 0, 2))
        await turns()
        held, bench.scenes.gate = bench.scenes.gate, asyncio.Event()
        bench.scenes.gate.set()
        bench.runner.put(SCENES, records("scenes", 2, 3))
        bench.runner.put(LABELS, records("labels", 0, 1))
        await turns()
        assert bench.scenes.asked == [2, 3]
        assert [offsets for _, _, offsets in bench.outbox.batches] == [{LABELS: 1}]
        held.set()
        await turns()
        assert [offsets for _, _, offsets in bench.outbox.batches] == [{LABELS: 1}, {SCENES: 5}]
        await bench.runner.stop()

    asyncio.run(run())


def test_no_more_is_prepared_ahead_than_two_transactions_take_and_what_lags_goes_in_whole_ones() -> None:
    async def run() -> None:
        bench = Bench(Limits(4, 100))
        bench.scenes.gate.clear()
        bench.runner.run()
        for first in range(0, 15, 3):
            bench.runner.put(SCENES, records("scenes", first, 3))
            await turns()
        assert bench.scenes.asked == [3, 3]
        bench.scenes.gate.set()
        await turns(200)
        assert bench.scenes.asked == [3, 3, 4, 4, 1]
        assert bench.outbox.batches[-1][2] == {SCENES: 15}
        await bench.runner.stop()

    asyncio.run(run())


def test_what_is_still_being_prepared_is_dropped_by_a_pause_and_prepared_again() -> None:
    async def run() -> None:
        bench = Bench(Limits(4, 100))
        bench.scenes.gate.clear()
        bench.runner.put(SCENES, records("scenes", 0, 3))
        bench.runner.run()
        await turns()
        assert await bench.runner.pause()
        assert (bench.runner.open_records, bench.runner.next_offsets, bench.failures) == (0, {}, [])
        bench.scenes.gate.set()
        bench.runner.run()
        bench.runner.put(SCENES, records("scenes", 0, 3))
        await turns()
        assert [offsets for _, _, offsets in bench.outbox.batches] == [{SCENES: 3}]
        await bench.runner.stop()

    asyncio.run(run())


def test_a_record_that_costs_its_batch_costs_only_itself_and_offsets_pass_it() -> None:
    async def run() -> None:
        bench = Bench(Limits(8, 100))
        bench.runner.put(SCENES, records("scenes", 0, 8, bad=[3, 7]))
        bench.runner.run()
        await turns()
        [(outputs, _, offsets)] = bench.outbox.batches
        assert (outputs.count("scenes.dead"), outputs.count("out")) == (2, 6)
        assert offsets == {SCENES: 8}
        assert bench.failures == []
        await bench.runner.stop()

    asyncio.run(run())


def test_bisection_keeps_the_order() -> None:
    async def run() -> None:
        batch = await prepare(Echo("scenes"), records("scenes", 0, 9, bad=[0, 4, 5]))
        assert [record.offset for record in batch.records] == [1, 2, 3, 6, 7, 8]
        assert [culprit.record.offset for culprit in batch.culprits] == [0, 4, 5]
        assert len(batch.prepared) == 6

    asyncio.run(run())


def test_what_fails_on_everything_ends_the_process_before_the_topic_is_buried() -> None:
    async def run() -> None:
        bench = Bench(Limits(8, 100))
        bench.runner.put(SCENES, records("scenes", 0, 64, bad=range(64)))
        bench.runner.run()
        await turns(200)
        [failure] = bench.failures
        assert isinstance(failure, HandlerError)
        assert len(bench.outbox.batches) == 1
        await bench.runner.stop()

    asyncio.run(run())


def test_an_error_after_a_row_was_touched_is_told_and_nothing_is_sent() -> None:
    async def run() -> None:
        bench = Bench()
        bench.scenes.broken = True
        bench.runner.put(SCENES, records("scenes", 0, 3))
        bench.runner.run()
        await turns()
        [failure] = bench.failures
        assert isinstance(failure, BatchError)
        assert isinstance(failure.cause, ZeroDivisionError)
        assert [record.offset for record in failure.records] == [0, 1, 2]
        assert bench.outbox.batches == []
        await bench.runner.stop()

    asyncio.run(run())


def test_stopping_finishes_the_batch_in_flight_before_the_outbox_closes() -> None:
    async def run() -> None:
        bench = await in_flight(6)
        stopping = asyncio.create_task(bench.runner.stop())
        await turns()
        assert not stopping.done()
        assert bench.outbox.open
        bench.outbox.slow.set()
        await stopping
        assert len(bench.outbox.batches) == 1
        assert not bench.outbox.open

    asyncio.run(run())


def test_a_full_partition_is_paused_until_there_is_room() -> None:
    async def run() -> None:
        bench = Bench(Limits(4, 8))
        bench.scenes.gate.clear()
        bench.runner.put(SCENES, records("scenes", 0, 16))
        assert bench.runner.is_full(SCENES)
        assert not bench.runner.is_full(LABELS)
        bench.scenes.gate.set()
        bench.runner.run()
        await turns()
        assert bench.rooms
        assert not bench.runner.is_full(SCENES)
        await bench.runner.stop()

    asyncio.run(run())


@pytest.mark.parametrize("again", [0, 3])
def test_a_log_that_went_back_is_never_taken_for_what_was_read_before(again: int) -> None:
    """A topic that was made anew: its records have offsets that were read already, and are others."""

    async def run() -> None:
        bench = Bench(Limits(100, 100))
        bench.runner.put(SCENES, records("scenes", 0, 6))
        with pytest.raises(LogError, match=rf"scenes-0 went back from offset 6 to {again}"):
            bench.runner.put(SCENES, records("scenes", again, 2))
        await bench.runner.stop()

    asyncio.run(run())


def test_a_partition_that_was_kept_goes_on_behind_what_it_committed() -> None:
    async def run() -> None:
        bench = await in_flight(6)
        pausing = asyncio.create_task(bench.runner.pause())
        await turns()
        bench.outbox.slow.set()
        assert await pausing
        assert bench.runner.next_offsets == {SCENES: 2}
        # What was read and not committed is read again, and nothing from before.
        bench.runner.put(SCENES, records("scenes", 2, 6))
        bench.runner.run()
        await turns()
        assert [offsets for _, _, offsets in bench.outbox.batches] == [{SCENES: end} for end in (2, 4, 6, 8)]
        await bench.runner.pause()
        with pytest.raises(LogError):
            bench.runner.put(SCENES, records("scenes", 7, 1))
        await bench.runner.stop()

    asyncio.run(run())

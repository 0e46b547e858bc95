"""What is kept through a rebalance: rows that are as they are in Kafka, and nothing else."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from aiokafka.errors import CommitFailedError
from hypothesis import given, settings
from hypothesis import strategies as st
from test_partition_runner import Record, turns

from streams.kafka import beginning, groups, transactions
from streams.kafka.groups import Groups
from streams.kafka.line import Limits
from streams.kafka.partition import LogError
from streams.kafka.records import Group, Handler, HandlerError, Headers, Outgoing, Place, Received, Restored
from streams.kafka.restore import Progress
from streams.kafka.suspects import Suspects
from streams.kafka.transactions import Sending

PARTITIONS = 3


@dataclass
class Log:
    """Kafka: what is committed of each partition number, who may write there, and how often it was read."""

    rows: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    owner: dict[str, object] = field(default_factory=dict)
    restored: list[int] = field(default_factory=list)
    notes: dict[bytes, Outgoing] = field(default_factory=dict)

    async def write(self, notes: Iterable[Outgoing]) -> None:
        self.notes |= {note.key or b"": note for note in notes}

    def standing(self) -> list[bytes]:
        return [key for key, note in self.notes.items() if note.value is not None]


class Outbox:
    """A transactional outbox: only the last that was started under its name may send."""

    log = Log()
    fails = False

    def __init__(self, sending: Sending, name: str) -> None:
        del sending
        self._name = name

    async def start(self) -> None:
        self.log.owner[self._name] = self

    async def send(self, outputs: Sequence[Outgoing], rows: Sequence[Outgoing], offsets: Mapping[Place, int]) -> None:
        del offsets
        await asyncio.sleep(0)
        assert self.log.owner[self._name] is self, "fenced"
        if Outbox.fails:
            raise OSError("away")
        await self.log.write(one for one in outputs if one.topic == "suspects")
        for row in rows:
            assert row.partition is not None
            self.log.rows[row.partition].append(row.value or b"")

    async def flush(self) -> None: ...

    async def stop(self) -> None: ...


class Counted:
    """Rows: of each partition number what was written there, in order."""

    changelog = "rows"

    def __init__(self) -> None:
        self.kept: dict[int, list[bytes]] = defaultdict(list)
        self.changed: dict[int, list[bytes]] = defaultdict(list)

    def drop(self, number: int) -> None:
        self.kept.pop(number, None)

    def restore(self, number: int, records: Sequence[Received]) -> None:
        self.kept[number] += [record.value or b"" for record in records]

    def take_changes(self, number: int) -> Sequence[tuple[bytes, bytes | None, Headers]]:
        changes, self.changed[number] = self.changed[number], []
        return [(b"k", change, ()) for change in changes]


class Count(Handler[bytes]):
    topic = stage = "scenes"

    def __init__(self, rows: Counted) -> None:
        self._rows = rows

    async def prepare(self, records: Sequence[Received]) -> Sequence[bytes]:
        return [record.value or b"" for record in records]

    def apply(self, records: Sequence[Received], prepared: Sequence[bytes]) -> Iterable[Outgoing]:
        for record, value in zip(records, prepared, strict=True):
            self._rows.kept[record.partition].append(value)
            self._rows.changed[record.partition].append(value)
        return ()

    def bury(self, record: Received, error: Exception) -> Outgoing:
        raise HandlerError(f"{record.offset}") from error


async def until(reached: Callable[[], bool]) -> None:
    for _ in range(1000):
        if reached():
            return
        await asyncio.sleep(0)
    raise AssertionError


class Member:
    """A worker's groups, with rows of its own."""

    def __init__(
        self,
        restore_seconds: float = 60.0,
        reached: Callable[[], bool] = lambda: True,
        fail: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.rows = Counted()
        self.handler = Count(self.rows)
        self.failures: list[BaseException] = []
        self.groups = Groups(
            (Group("rows", (self.handler,), self.rows),),
            Sending({}, "g", 1000, 5, 2**20),
            Limits(4, 8, restore_seconds),
            Suspects("suspects", "one", write=Outbox.log.write),
            fail or self.failures.append,
            transactional=True,
            reached=reached,
        )
        self.numbers: set[int] = set()

    async def own(self, numbers: Iterable[int], generation: int) -> None:
        self.numbers = set(numbers)
        self.groups.assign([Place("scenes", number) for number in numbers], generation)
        await until(lambda: self.groups.restored)

    async def work(self, number: int, value: bytes) -> None:
        place = Place("scenes", number)
        [runner] = [one for one in self.groups.runners if one.number == number]
        offset = runner.next_offsets.get(place, 0)
        record = Record("scenes", offset, value, partition=number)
        self.groups.put(place, cast("list[Received]", [record]))
        # Committed, or dropped because that failed.
        await until(lambda: not runner.open_records or bool(self.failures))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Kafka, in the place of the real one."""
    monkeypatch.setattr(transactions, "TransactionalOutbox", Outbox)
    monkeypatch.setattr(beginning, "restore", _restore)
    monkeypatch.setattr(groups, "pause_seconds", lambda _: 0.0)
    return _fresh()


def _fresh() -> Log:
    Outbox.log, Outbox.fails = Log(), False
    return Outbox.log


async def _restore(
    options: object, wanted: Mapping[Place, Restored], progress: Progress, done: Callable[[Place], None]
) -> None:
    del options, progress
    for place, kept in wanted.items():
        await asyncio.sleep(0)
        if place.topic == "rows":
            Outbox.log.restored.append(place.partition)
            values = [Record("rows", n, value) for n, value in enumerate(Outbox.log.rows[place.partition])]
            kept.restore(place.partition, cast("list[Received]", values))
        else:
            noted = [one for one in Outbox.log.notes.values() if one.partition == place.partition]
            notes = [Record("suspects", n, cast("bytes", one.value), one.key or b"") for n, one in enumerate(noted)]
            kept.restore(place.partition, cast("list[Received]", notes))
        done(place)


def test_a_partition_that_stays_is_not_read_again_and_one_that_leaves_is_forgotten(log: Log) -> None:
    async def run() -> None:
        one = Member()
        await one.own([0, 1], 5)
        await one.work(0, b"a")
        await one.work(1, b"b")
        await one.groups.revoke()
        await one.own([0, 2], 6)
        assert sorted(log.restored) == [0, 1, 2]
        assert {number: kept for number, kept in one.rows.kept.items() if kept} == {0: [b"a"]}
        await one.work(0, b"c")
        assert log.rows == {0: [b"a", b"c"], 1: [b"b"], 2: []}
        assert one.failures == []

    asyncio.run(run())


def test_after_a_generation_without_us_everything_is_read_again(log: Log) -> None:
    async def run() -> None:
        one, other = Member(), Member()
        await one.own([0], 5)
        await one.work(0, b"a")
        await one.groups.revoke()
        await other.own([0], 6)
        await other.work(0, b"b")
        await other.groups.revoke()
        await one.own([0], 7)
        await one.work(0, b"c")
        assert log.rows[0] == one.rows.kept[0] == [b"a", b"b", b"c"]
        assert log.restored == [0, 0, 0]

    asyncio.run(run())


def test_after_a_batch_that_failed_everything_is_read_again(log: Log) -> None:
    async def run() -> None:
        one = Member()
        await one.own([0, 1], 5)
        await one.work(0, b"a")
        Outbox.fails = True
        await one.work(1, b"lost")
        Outbox.fails = False
        await until(lambda: one.groups.restored)
        assert sorted(log.restored) == [0, 0, 1, 1]
        assert one.rows.kept[1] == log.rows[1] == []
        assert one.failures == []

    asyncio.run(run())


def test_after_a_commit_that_failed_behind_a_batch_everything_is_read_again(log: Log) -> None:
    """At least once offsets are committed behind the next batch, and there may be none for long."""

    async def run() -> None:
        one = Member()
        await one.own([0, 1], 5)
        await one.work(0, b"a")
        one.groups.commit_failed(CommitFailedError("the group has already rebalanced"))
        await until(lambda: one.groups.restored)
        assert sorted(log.restored) == [0, 0, 1, 1]
        assert one.failures == []

    asyncio.run(run())


def test_nothing_is_put_aside_because_kafka_was_away_while_it_was_tried(log: Log) -> None:
    """What was noted ahead counts deaths, and a process that begins anew has not died."""

    async def run() -> None:
        one = Member()
        await one.own([0, 1], 5)
        Outbox.fails = True
        for _ in range(4):
            await one.work(0, b"a")
            await until(lambda: one.groups.restored)
        Outbox.fails = False
        await one.work(0, b"a")
        assert log.rows[0] == [b"a"]
        assert one.failures == []
        assert log.standing() == []

    asyncio.run(run())


def test_who_gives_a_batch_up_in_which_nobody_died_takes_its_note_back(log: Log) -> None:
    async def run() -> None:
        one = Member()
        await one.own([0], 5)
        Outbox.fails = True
        one.groups.put(Place("scenes", 0), cast("list[Received]", [Record("scenes", 0, b"lost")]))
        await until(lambda: bool(one.rows.kept[0]))
        assert log.standing() == [b"scenes:0"]
        await one.groups.revoke()
        assert log.standing() == []

    asyncio.run(run())


def test_who_ends_for_another_reason_takes_its_notes_back_first(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or its successor tries one by one what would have failed together, and puts it aside."""
    standing: list[list[bytes]] = []

    async def run() -> None:
        one = Member(fail=lambda _: standing.append(log.standing()))

        async def broken(records: Sequence[Received]) -> Sequence[bytes]:
            raise HandlerError(f"not the fault of {len(records)} records")

        monkeypatch.setattr(one.handler, "prepare", broken)
        await one.own([0], 5)
        one.groups.put(Place("scenes", 0), cast("list[Received]", [Record("scenes", 0, b"a")]))
        await until(lambda: bool(standing))
        assert standing == [[]]

    asyncio.run(run())


def test_a_batch_that_fails_while_partitions_are_revoked_is_not_kept(log: Log) -> None:
    async def run() -> None:
        one = Member()
        await one.own([0], 5)
        Outbox.fails = True
        place = Place("scenes", 0)
        one.groups.put(place, cast("list[Received]", [Record("scenes", 0, b"lost")]))
        await until(lambda: bool(one.rows.kept[0]))
        await one.groups.revoke()
        Outbox.fails = False
        await one.own([0], 6)
        assert one.rows.kept[0] == log.rows[0] == []

    asyncio.run(run())


def test_no_row_is_touched_after_it_was_dropped_while_others_are_restored(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One partition fails while another is restored: the rest must not go on with rows that are gone."""
    begun = asyncio.Event()

    async def half(
        options: object, wanted: Mapping[Place, Restored], progress: Progress, done: Callable[[Place], None]
    ) -> None:
        slow = {place: kept for place, kept in wanted.items() if place.partition == 2 and not begun.is_set()}
        await _restore(options, {place: kept for place, kept in wanted.items() if place not in slow}, progress, done)
        if slow:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                # A reader takes its time to stop.
                await turns(50)

    async def run() -> None:
        monkeypatch.setattr(beginning, "restore", half)
        one = Member()
        one.groups.assign([Place("scenes", number) for number in range(PARTITIONS)], 5)
        await begun.wait()
        await one.work(1, b"a")
        Outbox.fails = True
        lost, next_one = Record("scenes", 0, b"lost"), Record("scenes", 1, b"b", partition=1)
        one.groups.put(Place("scenes", 0), cast("list[Received]", [lost]))
        await until(lambda: len(one.groups.runners) == 0 or bool(one.rows.kept[0]))
        failing = [runner for runner in one.groups.runners if runner.number == 1]
        await until(lambda: one.groups.runners == ())
        Outbox.fails = False
        for runner in failing:
            runner.put(Place("scenes", 1), cast("list[Received]", [next_one]))
        await turns(20)
        assert not one.rows.kept[1]
        await until(lambda: one.groups.restored)
        assert one.rows.kept[1] == log.rows[1] == [b"a"]
        assert one.failures == []

    asyncio.run(run())


def test_a_batch_that_fails_while_a_beginning_is_given_up_begins_nothing(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is begun for partitions that are being revoked would go on beside what is begun for those assigned next."""
    begun = asyncio.Event()

    async def half(
        options: object, wanted: Mapping[Place, Restored], progress: Progress, done: Callable[[Place], None]
    ) -> None:
        if begun.is_set():
            await _restore(options, wanted, progress, done)
            return
        await _restore(options, {place: kept for place, kept in wanted.items() if not place.partition}, progress, done)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            # A reader takes its time to stop.
            await turns(50)

    async def run() -> None:
        monkeypatch.setattr(beginning, "restore", half)
        one = Member()
        one.groups.assign([Place("scenes", number) for number in range(PARTITIONS)], 5)
        await begun.wait()
        Outbox.fails = True
        one.groups.put(Place("scenes", 0), cast("list[Received]", [Record("scenes", 0, b"lost")]))
        await one.groups.revoke()
        Outbox.fails = False
        assert not one.groups.joined
        await one.own(range(PARTITIONS), 6)
        await turns(100)
        assert sorted(log.restored) == [0, 0, 1, 2]
        await one.work(0, b"a")
        assert one.rows.kept[0] == log.rows[0] == [b"a"]
        assert one.failures == []

    asyncio.run(run())


def test_who_is_about_to_end_takes_no_more_records(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error may have cost records of a poll: to commit what comes behind them would pass them over."""

    async def run() -> None:
        one = Member()
        going_on = asyncio.Event()

        async def slow(records: Sequence[Received]) -> Sequence[bytes]:
            await going_on.wait()
            return [record.value or b"" for record in records]

        monkeypatch.setattr(one.handler, "prepare", slow)
        await one.own([0, 1], 5)
        one.groups.put(Place("scenes", 0), cast("list[Received]", [Record("scenes", 0, b"a")]))
        await until(lambda: log.standing() == [b"scenes:0"])
        one.groups.sought([*one.groups.unsought()])
        assert one.groups.open() == {Place("scenes", 0), Place("scenes", 1)}
        one.groups.fail(LogError("scenes-1 went back"))
        assert one.groups.open() == set()
        await until(lambda: bool(one.failures))
        going_on.set()

    asyncio.run(run())


def test_rows_that_take_too_long_end_the_process_and_nothing_is_kept(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(options: object, wanted: Mapping[Place, Restored], *others: object) -> None:
        del options, others
        for place, kept in wanted.items():
            kept.restore(
                place.partition, cast("list[Received]", [Record("rows", 0, b"half")] * (place.topic == "rows"))
            )
        await asyncio.Event().wait()

    async def run() -> None:
        monkeypatch.setattr(beginning, "restore", never)
        one = Member(restore_seconds=0.02)
        one.groups.assign([Place("scenes", 0)], 5)
        for _ in range(200):
            if one.failures:
                break
            await asyncio.sleep(0.01)
        [failure] = one.failures
        assert isinstance(failure, beginning.RestoreError)
        assert "restore_timeout_seconds" in str(failure)
        assert dict(one.rows.kept) == {}
        assert one.groups.runners == ()
        assert log.restored == []

    asyncio.run(run())


def test_while_kafka_is_away_a_restore_takes_as_long_as_it_takes(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    back = asyncio.Event()

    async def away(
        options: object, wanted: Mapping[Place, Restored], progress: Progress, done: Callable[[Place], None]
    ) -> None:
        await back.wait()
        await _restore(options, wanted, progress, done)

    async def run() -> None:
        monkeypatch.setattr(beginning, "restore", away)
        monkeypatch.setattr(beginning, "_LOOKED_EVERY_SECONDS", 0.01)
        one = Member(restore_seconds=0.2, reached=back.is_set)
        one.groups.assign([Place("scenes", 0)], 5)
        await asyncio.sleep(0.5)
        back.set()
        await until(lambda: one.groups.restored)
        assert one.failures == []
        assert log.restored == [0]

    asyncio.run(run())


def test_what_fails_again_and_again_is_tried_with_growing_pauses_and_then_no_more(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that arrive meanwhile are no progress; only a commit is."""
    pauses: list[int] = []

    def pause_seconds(tries: int) -> float:
        pauses.append(tries)
        return 0.0

    monkeypatch.setattr(groups, "pause_seconds", pause_seconds)

    async def run() -> None:
        one = Member()
        await one.own([0, 1], 5)

        async def fail(times: int) -> None:
            Outbox.fails = True
            for _ in range(times):
                await one.work(1, b"lost")
                await until(lambda: one.groups.restored or bool(one.failures))
            Outbox.fails = False

        await fail(4)
        await one.work(0, b"a")
        # A record has come since the commit.
        place = Place("scenes", 0)
        [runner] = [one_of for one_of in one.groups.runners if one_of.number == 0]
        runner.put(place, cast("list[Received]", [Record("scenes", runner.next_offsets[place], b"b")]))
        await fail(6)
        assert pauses == [1, 2, 3, 4, 1, 2, 3, 4, 5]
        [failure] = one.failures
        assert isinstance(failure, OSError)
        assert log.rows[1] == []

    asyncio.run(run())


Steps = list[tuple[int, list[int], list[int]]]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([1, 1, 1, 2]),
            st.lists(st.integers(0, 2), min_size=PARTITIONS, max_size=PARTITIONS),
            st.lists(st.integers(0, PARTITIONS - 1), max_size=4),
        ),
        max_size=8,
    )
)
def test_rows_in_memory_are_those_in_kafka_whoever_owned_what(steps: Steps) -> None:
    """Rebalances of two workers and nobody: who owns what, what is worked on, and generations that were missed."""

    async def run() -> None:
        log, members, generation, count = _fresh(), [Member(), Member()], 1, 0
        for later, owners, worked in steps:
            generation += later
            await asyncio.gather(*(member.groups.revoke() for member in members))
            for which, member in enumerate(members):
                await member.own([number for number in range(PARTITIONS) if owners[number] == which], generation)
            for number in worked:
                for member in members:
                    if number in member.numbers:
                        count += 1
                        await member.work(number, f"{count}".encode())
            for member in members:
                assert not member.failures
                assert {n for n, kept in member.rows.kept.items() if kept} <= member.numbers
                assert all(member.rows.kept[n] == log.rows[n] for n in member.numbers)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(transactions, "TransactionalOutbox", Outbox)
        patched.setattr(beginning, "restore", _restore)
        asyncio.run(run())

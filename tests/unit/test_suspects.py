from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from test_partition_runner import LABELS, SCENES, Bench, Record, records, turns

from schemas.suspect import Suspect
from streams.kafka.line import Limits
from streams.kafka.records import Outgoing, Received
from streams.kafka.suspects import Asking, BatchError, Convicted, Hung, Suspects, asking

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


def failed(*offsets: int, cause: Exception | None = None) -> BatchError:
    batch = [record for offset in offsets for record in records("scenes", offset, 1)]
    return BatchError("resonance", batch, cause or Hung("no answer"))


def put_back(suspects: Suspects, key: bytes, value: bytes | None) -> None:
    suspects.restore(0, cast("list[Received]", [Record("suspects", 0, cast("bytes", value), key)]))


def noted(suspects: Suspects, *batches: BatchError) -> list[Suspect]:
    """Note batches one after the other, as processes would; return the last notes."""
    notes: list[Outgoing] = []
    for batch in batches:
        notes = suspects.note(batch)
        for note in notes:
            assert note.key is not None
            put_back(suspects, note.key, note.value)
    return [Suspect.model_validate_json(note.value or b"") for note in notes]


def test_a_note_says_what_happened_how_often_when_and_to_whom() -> None:
    suspects = Suspects("suspects", "one", Clock())
    [_, second] = noted(suspects, failed(7, 8))
    assert (second.key, second.tries, second.exception, second.worker) == ("scenes:0:8", 1, "hung", "one")
    [again] = noted(suspects, failed(8, cause=ZeroDivisionError("d")))
    assert (again.tries, again.exception, again.message) == (2, "ZeroDivisionError", "d")
    assert again.first_at == second.first_at < again.last_at
    [note] = suspects.note(failed(8))
    assert (note.topic, note.partition) == ("suspects", 0)


@pytest.mark.parametrize("value", [b"", b"{}", b'{"version": 2, "type": "suspect"}'])
def test_a_note_that_cannot_be_read_is_none(value: bytes) -> None:
    suspects = Suspects("suspects", "one")
    put_back(suspects, b"scenes:0:7", value)
    assert suspects.of(records("scenes", 7, 1)[0]) is None


def test_a_note_is_read_back_until_it_is_cleared() -> None:
    suspects = Suspects("suspects", "one")
    noted(suspects, failed(7))
    put_back(suspects, b"scenes:0:7", None)
    put_back(suspects, b"scenes:1:7", None)
    assert suspects.of(records("scenes", 7, 1)[0]) is None


def test_a_suspect_goes_alone_and_the_others_together() -> None:
    async def run() -> None:
        bench = Bench(Limits(4, 100))
        noted(bench.suspects, failed(12, 13))
        bench.runner.put(SCENES, records("scenes", 10, 10))
        bench.runner.put(LABELS, records("labels", 12, 2))
        bench.runner.run()
        await turns(100)
        assert bench.scenes.asked[:3] == [2, 1, 1]
        assert sum(bench.scenes.asked) == 10
        assert [number for number, alone in enumerate(bench.scenes.alone) if alone] == [1, 2]
        assert bench.labels.asked == [2]
        await bench.runner.stop()

    asyncio.run(run())


def test_a_suspect_that_passes_is_cleared_with_the_batch_that_commits_it() -> None:
    async def run() -> None:
        bench = Bench(Limits(4, 100))
        noted(bench.suspects, failed(10))
        bench.runner.put(SCENES, records("scenes", 10, 2))
        bench.runner.run()
        await turns()
        first, second = bench.outbox.batches
        assert (first[0], second[0]) == (["out", "suspects"], ["out"])
        assert bench.outbox.sent[1] == Outgoing("suspects", b"scenes:0:10", None, (), 0)
        assert bench.suspects.of(records("scenes", 10, 1)[0]) is None
        await bench.runner.stop()

    asyncio.run(run())


def test_a_note_on_what_was_committed_all_the_same_is_taken_away() -> None:
    async def run() -> None:
        bench = Bench(Limits(4, 100))
        noted(bench.suspects, failed(3, 9))
        bench.runner.put(SCENES, records("scenes", 9, 2))
        bench.runner.run()
        await turns()
        assert bench.scenes.asked == [1, 1]
        assert [one.key for one in bench.outbox.sent if one.value is None] == [b"scenes:0:9", b"scenes:0:3"]
        await bench.runner.stop()

    asyncio.run(run())


def test_what_failed_three_times_is_not_tried_again() -> None:
    async def run() -> None:
        bench = Bench(Limits(4, 100))
        noted(bench.suspects, failed(9, 10, 11), failed(10), failed(10))
        bench.runner.put(SCENES, records("scenes", 10, 3))
        bench.runner.run()
        await turns()
        assert bench.scenes.asked == [1, 1]
        assert [one.topic for one in bench.outbox.sent] == [
            "scenes.dead",
            "suspects",
            "suspects",
            "out",
            "suspects",
            "out",
        ]
        [convicted] = bench.scenes.buried
        assert isinstance(convicted, Convicted)
        assert convicted.suspect.tries == 3
        assert str(convicted) == "failed 3 times, at last alone: no answer"
        await bench.runner.stop()

    asyncio.run(run())


@pytest.mark.parametrize(("tries", "said"), [(1, b"2"), (2, b"3"), (3, b"3")])
def test_a_dead_letter_counts_the_tries(tries: int, said: bytes) -> None:
    async def run() -> None:
        bench = Bench(Limits(4, 100))
        noted(bench.suspects, *[failed(10)] * tries)
        bench.runner.put(SCENES, records("scenes", 10, 1, bad=[0]))
        bench.runner.run()
        await turns()
        assert dict(bench.outbox.sent[0].headers)["__dlq.errors.delivery.count"] == said
        await bench.runner.stop()

    asyncio.run(run())


def test_what_hangs_is_told_with_those_that_were_asked_about_and_not_bisected() -> None:
    async def run() -> None:
        bench = Bench(Limits(4, 100))
        bench.scenes.hangs = True
        bench.runner.put(SCENES, records("scenes", 10, 6))
        bench.runner.run()
        await turns()
        failures = [one for one in bench.failures if isinstance(one, BatchError) and isinstance(one.cause, Hung)]
        assert [[record.offset for record in one.records] for one in failures] == [[10, 11, 12, 13], [14, 15]]
        assert bench.scenes.asked == [4, 2]
        await bench.runner.stop()

    asyncio.run(run())


def test_who_lost_its_partition_counts_on_from_what_it_knew() -> None:
    suspects = Suspects("suspects", "one")
    [known] = noted(suspects, failed(7), failed(7))
    [record] = records("scenes", 7, 1)
    suspects.drop(0)
    [note] = suspects.note(Asking("bridge", [record], known).failed(Hung("no answer")))
    assert Suspect.model_validate_json(note.value or b"").tries == 3
    assert asking.get() is None

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from test_partition_runner import FEW, LABELS, SCENES, Bench, Record, records, turns

from schemas.suspect import Begun, Suspect
from streams.kafka.records import Outgoing, Place, Received
from streams.kafka.suspects import BatchError, Hung, Suspects


class Topic:
    """The suspects' topic: what stands in it under each key."""

    def __init__(self) -> None:
        self.stands: dict[bytes, bytes | None] = {}

    async def write(self, notes: Sequence[Outgoing]) -> None:
        self.stands |= {note.key or b"": note.value for note in notes}

    def left(self) -> dict[bytes, bytes]:
        return {key: value for key, value in self.stands.items() if value is not None}

    def restored(self) -> Suspects:
        suspects = Suspects("suspects", "two", write=self.write)
        notes = [Record("suspects", 0, cast("bytes", value), key) for key, value in self.stands.items()]
        suspects.restore(0, cast("list[Received]", notes))
        return suspects


def bench_on(topic: Topic) -> Bench:
    return Bench(FEW, topic.restored())


def test_a_first_batch_is_noted_before_it_is_tried_and_cleared_by_what_commits_it() -> None:
    async def run() -> None:
        topic = Topic()
        bench = bench_on(topic)
        bench.scenes.gate.clear()
        bench.runner.put(SCENES, records("scenes", 7, 3))
        bench.runner.run()
        await turns()
        [(key, value)] = topic.left().items()
        begun = Begun.model_validate_json(value)
        assert (key, begun.first_offset, begun.last_offset, begun.worker) == (b"scenes:0", 7, 9, "two")
        bench.scenes.gate.set()
        await turns()
        assert [one.key for one in bench.outbox.sent if one.topic == "suspects"] == [b"scenes:0"]
        bench.runner.put(SCENES, records("scenes", 10, 3))
        await turns()
        assert len(bench.outbox.batches) == 2
        assert len([one for one in bench.outbox.sent if one.topic == "suspects"]) == 1
        await bench.runner.stop()

    asyncio.run(run())


def test_until_something_was_committed_one_batch_is_noted_and_tried_at_a_time() -> None:
    async def run() -> None:
        bench = bench_on(Topic())
        bench.scenes.gate.clear()
        bench.runner.run()
        for first in (7, 8, 9):
            bench.runner.put(SCENES, records("scenes", first, 1))
            await turns()
        assert bench.scenes.asked == [1]
        bench.scenes.gate.set()
        await turns()
        assert bench.scenes.asked == [1, 2]
        bench.scenes.gate.clear()
        for first in (10, 11):
            bench.runner.put(SCENES, records("scenes", first, 1))
            await turns()
        assert bench.scenes.asked == [1, 2, 1, 1]
        bench.scenes.gate.set()
        await turns()
        assert bench.outbox.batches[-1][2] == {SCENES: 12}
        await bench.runner.stop()

    asyncio.run(run())


def test_what_is_given_up_in_good_order_leaves_no_note() -> None:
    async def run() -> None:
        topic = Topic()
        bench = bench_on(topic)
        bench.scenes.gate.clear()
        bench.runner.put(SCENES, records("scenes", 7, 3))
        bench.runner.run()
        await turns()
        assert topic.left()
        assert await bench.runner.pause()
        assert topic.left() == {}

    asyncio.run(run())


def test_what_a_process_did_not_survive_is_tried_one_by_one_with_nothing_beside_it() -> None:
    async def run() -> None:
        topic = Topic()
        await topic.write([_begun("scenes", 7, 8)])
        bench = bench_on(topic)
        bench.scenes.gate.clear()
        bench.runner.put(SCENES, records("scenes", 7, 4))
        bench.runner.put(LABELS, records("labels", 0, 2))
        bench.runner.run()
        await turns()
        assert sorted(bench.scenes.asked + bench.labels.asked) in ([1], [1, 2])
        bench.scenes.gate.set()
        await turns(200)
        assert bench.scenes.asked == [1, 1, 2]
        assert bench.labels.asked == [2]
        cleared = [one.key for one in bench.outbox.sent if one.topic == "suspects" and one.value is None]
        assert {b"scenes:0:7", b"scenes:0:8", b"scenes:0"} <= set(cleared)
        await bench.runner.stop()

    asyncio.run(run())


def test_who_stops_while_it_tries_one_alone_takes_back_that_it_died_of_it() -> None:
    async def run() -> None:
        topic = Topic()
        await topic.write([_begun("scenes", 7, 8)])
        bench = bench_on(topic)
        bench.scenes.gate.clear()
        bench.runner.put(SCENES, records("scenes", 7, 4))
        bench.runner.run()
        await turns()
        assert Suspect.model_validate_json(topic.left()[b"scenes:0:7"]).tries == 2
        # As after a kill: the next one tries it for the third time.
        again = bench_on(topic)
        again.scenes.gate.clear()
        again.runner.put(SCENES, records("scenes", 7, 4))
        again.runner.run()
        await turns()
        assert Suspect.model_validate_json(topic.left()[b"scenes:0:7"]).tries == 3
        await again.runner.pause()
        assert Suspect.model_validate_json(topic.left()[b"scenes:0:7"]).tries == 2
        bench.runner.halt()

    asyncio.run(run())


def test_last_words_take_back_what_was_noted_ahead() -> None:
    async def run() -> None:
        topic = Topic()
        suspects = topic.restored()
        async with suspects.trying("resonance", records("scenes", 7, 2)):
            await topic.write(suspects.trials.withdrawn())
            await topic.write(suspects.note(BatchError("resonance", records("scenes", 7, 2), Hung("no answer"))))
        assert set(topic.left()) == {b"scenes:0:7", b"scenes:0:8"}

    asyncio.run(run())


@pytest.mark.parametrize("value", [b"", b"{}", b'{"version": 2, "type": "begun"}'])
def test_a_note_of_a_beginning_that_cannot_be_read_is_none(value: bytes) -> None:
    topic = Topic()
    topic.stands[b"scenes:0"] = value
    trials = topic.restored().trials
    assert trials.most(Place("scenes", 0), records("scenes", 0, 1)[0], 9) == 9


def _begun(topic: str, first: int, last: int) -> Outgoing:
    trials = Suspects("suspects", "one").trials
    return trials._noted(trials._beginning(Place(topic, 0), records(topic, first, last - first + 1)))

from __future__ import annotations

import asyncio
from typing import cast

from aiokafka.errors import MessageSizeTooLargeError
from test_partition_runner import LABELS, SCENES, Bench, Record, records, turns

from schemas.suspect import Suspect
from streams.kafka.line import Limits
from streams.kafka.records import HandlerError, Outgoing, Place, Received
from streams.kafka.suspects import BatchError, Suspects


def test_what_is_ready_of_all_topics_is_committed_at_once_up_to_what_a_transaction_takes() -> None:
    async def run(scenes: int, labels: int) -> list[dict[Place, int]]:
        bench = Bench(Limits(8, 100))
        bench.outbox.slow.clear()
        bench.runner.put(LABELS, records("labels", 0, 1))
        bench.runner.run()
        await turns()
        bench.runner.put(SCENES, records("scenes", 0, scenes))
        bench.runner.put(LABELS, records("labels", 1, labels))
        await turns()
        bench.outbox.slow.set()
        await turns()
        assert all(rows == ["rows"] for _, rows, _ in bench.outbox.batches)
        assert bench.runner.open_records == 0
        await bench.runner.stop()
        return [offsets for _, _, offsets in bench.outbox.batches]

    assert asyncio.run(run(5, 3)) == [{LABELS: 1}, {SCENES: 5, LABELS: 4}]
    assert asyncio.run(run(6, 3)) == [{LABELS: 1}, {SCENES: 6}, {LABELS: 4}]


def test_a_suspect_is_committed_alone() -> None:
    async def run() -> None:
        bench = Bench(Limits(8, 100))
        error = BatchError("labels", records("labels", 2, 1), ValueError())
        [note] = bench.suspects.note(error)
        assert note.key is not None
        bench.suspects.restore(0, cast("list[Received]", [Record("suspects", 0, note.value or b"", note.key)]))
        bench.outbox.slow.clear()
        bench.runner.put(SCENES, records("scenes", 0, 1))
        bench.runner.run()
        await turns()
        bench.runner.put(LABELS, records("labels", 2, 2))
        bench.runner.put(SCENES, records("scenes", 1, 2))
        await turns()
        bench.outbox.slow.set()
        await turns(200)
        offsets = [offsets for _, _, offsets in bench.outbox.batches]
        assert {LABELS: 3} in offsets
        assert sorted(offsets[-1].items()) in ([(LABELS, 4)], [(LABELS, 4), (SCENES, 3)])
        await bench.runner.stop()

    asyncio.run(run())


def test_a_topic_whose_models_do_well_says_nothing_of_another() -> None:
    async def run() -> None:
        bench = Bench(Limits(4, 100))
        bench.runner.run()
        for first in range(0, 64, 4):
            bench.runner.put(SCENES, records("scenes", first, 4, bad=range(4)))
            bench.runner.put(LABELS, records("labels", first, 4))
            await turns()
        assert isinstance(bench.failures[0], HandlerError)
        await bench.runner.stop()

    asyncio.run(run())


def test_what_kafka_will_not_have_makes_suspects_of_all_that_was_sent_together() -> None:
    async def run() -> None:
        bench = Bench(Limits(8, 100))
        bench.outbox.slow.clear()
        bench.runner.put(LABELS, records("labels", 0, 1))
        bench.runner.run()
        await turns()
        bench.runner.put(SCENES, records("scenes", 0, 2))
        bench.runner.put(LABELS, records("labels", 1, 3))
        await turns()
        bench.outbox.refuses = MessageSizeTooLargeError()
        bench.outbox.slow.set()
        await turns()
        failed = [failure for failure in bench.failures if isinstance(failure, BatchError)]
        assert sorted((one.stage, len(one.records)) for one in failed) == [("labels", 3), ("scenes", 2)]
        await bench.runner.stop()

    asyncio.run(run())


def test_what_kafka_will_not_have_is_counted_from_try_to_try_and_put_aside_in_the_end() -> None:
    """Its note is ended by the commit that fails, and must be known all the same when it is noted again."""

    async def once(suspects: Suspects) -> tuple[list[BaseException], list[Outgoing]]:
        bench = Bench(Limits(8, 100), suspects)
        bench.outbox.refuses, bench.outbox.refuses_one = MessageSizeTooLargeError(), True
        bench.runner.put(SCENES, records("scenes", 0, 1))
        bench.runner.run()
        await turns()
        bench.outbox.refuses = None
        await bench.runner.stop()
        return bench.failures, bench.outbox.sent

    async def run() -> None:
        noted: list[Outgoing] = []
        for tries in (1, 2, 3):
            # Each time it is another process, which knows what the topic says.
            suspects = Suspects("suspects", "one")
            notes = [Record("suspects", at, one.value or b"", one.key or b"") for at, one in enumerate(noted)]
            suspects.restore(0, cast("list[Received]", notes))
            [failed], _ = await once(suspects)
            assert isinstance(failed, BatchError)
            [note] = suspects.note(failed)
            assert Suspect.model_validate_json(note.value or b"").tries == tries
            noted.append(note)
        suspects = Suspects("suspects", "one")
        suspects.restore(0, cast("list[Received]", [Record("suspects", 9, noted[-1].value or b"", note.key or b"")]))
        bench = Bench(Limits(8, 100), suspects)
        bench.runner.put(SCENES, records("scenes", 0, 1))
        bench.runner.run()
        await turns()
        assert [one.topic for one in bench.outbox.sent] == ["scenes.dead", "suspects"]
        await bench.runner.stop()

    asyncio.run(run())

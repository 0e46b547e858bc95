from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from schemas.suspect import Suspect
from streams.kafka.meter import Meter
from streams.kafka.suspects import Asking, BatchError, Hung, asking
from streams.runtimes.worker_models import ModelThread

START = datetime(2026, 1, 1, tzinfo=UTC)
SUSPECT = Suspect(
    topic="scenes", partition=0, offset=1, tries=1, stage="bridge", exception="hung", first_at=START, last_at=START
)


class Model:
    def __init__(self) -> None:
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self.hold = threading.Event()
        self.hold.set()

    def double(self, items: Sequence[int]) -> list[int]:
        self.hold.wait(5)
        self.batches.append(len(items))
        self.threads.add(threading.current_thread().name)
        if 13 in items:
            raise ValueError("13")
        return [2 * item for item in items]


def test_calls_that_wait_together_are_answered_together_in_one_thread() -> None:
    async def run() -> None:
        model, thread = Model(), ModelThread("models", 8, 1.0)
        model.hold.clear()
        first = asyncio.create_task(thread.ask(model.double, [1]))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(thread.ask(model.double, [10 * n, 10 * n + 1])) for n in range(3)]
        await asyncio.sleep(0.01)
        model.hold.set()
        assert list(await first) == [2]
        assert [list(answer) for answer in await asyncio.gather(*others)] == [[0, 2], [20, 22], [40, 42]]
        assert model.batches == [1, 6]
        assert len(model.threads) == 1
        thread.close()

    asyncio.run(run())


def test_calls_that_ask_the_same_go_together_past_those_that_ask_otherwise() -> None:
    async def run() -> None:
        model, other, thread = Model(), Model(), ModelThread("models", 8, 1.0)
        model.hold.clear()
        first = asyncio.create_task(thread.ask(model.double, [1]))
        await asyncio.sleep(0.01)
        asked = [model.double, other.double, model.double, other.double]
        others = [asyncio.create_task(thread.ask(ask, [n])) for n, ask in enumerate(asked)]
        await asyncio.sleep(0.01)
        model.hold.set()
        await first
        assert [list(answer) for answer in await asyncio.gather(*others)] == [[0], [2], [4], [6]]
        assert (model.batches, other.batches) == ([1, 2], [2])
        thread.close()

    asyncio.run(run())


def test_a_batch_is_never_larger_than_the_model_takes() -> None:
    async def run() -> None:
        model, thread = Model(), ModelThread("models", 8, 0.0)
        assert list(await thread.ask(model.double, range(20, 40))) == [2 * n for n in range(20, 40)]
        assert model.batches == [8, 8, 4]
        assert await thread.ask(model.double, []) == ()
        thread.close()

    asyncio.run(run())


def test_a_call_pays_only_for_its_own_items() -> None:
    async def run() -> None:
        model, thread = Model(), ModelThread("models", 8, 1.0)
        model.hold.clear()
        first = asyncio.create_task(thread.ask(model.double, [0]))
        await asyncio.sleep(0.01)
        good = asyncio.create_task(thread.ask(model.double, [1, 2]))
        bad = asyncio.create_task(thread.ask(model.double, [13]))
        await asyncio.sleep(0.01)
        model.hold.set()
        assert list(await good) == [2, 4]
        with pytest.raises(ValueError, match="13"):
            await bad
        assert list(await first) == [0]
        thread.close()

    asyncio.run(run())


def test_a_call_that_was_given_up_disturbs_nobody() -> None:
    async def run() -> None:
        model, thread = Model(), ModelThread("models", 8, 1.0)
        model.hold.clear()
        given_up = asyncio.create_task(thread.ask(model.double, [13]))
        await asyncio.sleep(0.01)
        given_up.cancel()
        model.hold.set()
        assert list(await thread.ask(model.double, [4])) == [8]
        thread.close()

    asyncio.run(run())


def test_a_call_that_was_given_up_before_its_turn_is_not_answered() -> None:
    async def run() -> None:
        model, thread = Model(), ModelThread("models", 8, 1.0)
        model.hold.clear()
        first = asyncio.create_task(thread.ask(model.double, [1]))
        await asyncio.sleep(0.01)
        given_up = [asyncio.create_task(thread.ask(model.double, [n])) for n in (2, 3)]
        await asyncio.sleep(0)
        for one in given_up:
            one.cancel()
        await asyncio.wait(given_up)
        model.hold.set()
        await first
        assert list(await thread.ask(model.double, [4, 5])) == [8, 10]
        assert model.batches == [1, 2]
        thread.close()

    asyncio.run(run())


def test_after_a_shared_batch_what_comes_alone_waits_for_company_and_a_full_batch_does_not() -> None:
    async def run() -> None:
        model, thread = Model(), ModelThread("models", 8, 60_000.0)

        async def share() -> None:
            model.hold.clear()
            first = asyncio.create_task(thread.ask(model.double, [1] * 8))
            await asyncio.sleep(0.01)
            shared = [asyncio.create_task(thread.ask(model.double, [n] * 4)) for n in (2, 3)]
            await asyncio.sleep(0)
            model.hold.set()
            await asyncio.gather(first, *shared)

        await share()
        assert len(await thread.ask(model.double, [4] * 8)) == 8
        await share()
        waiting = asyncio.create_task(thread.ask(model.double, [5]))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        waiting.cancel()
        thread.close()

    asyncio.run(run())


def test_what_is_not_answered_in_time_is_told_to_all_who_asked_and_to_nobody_else() -> None:
    async def run() -> None:
        model, thread = Model(), ModelThread("models", 8, 1.0, deadline_seconds=0.05)
        model.hold.clear()
        asked = asyncio.create_task(thread.ask(model.double, [1]))
        await asyncio.sleep(0.01)
        assert thread.busy_seconds is not None
        waiting = asyncio.create_task(thread.ask(model.double, [2]))
        with pytest.raises(Hung, match=r"the models \(models\) did not answer within 0.05 s"):
            await asked
        await asyncio.sleep(0.1)
        assert not waiting.done()
        model.hold.set()
        waiting.cancel()
        thread.close()

    asyncio.run(run())


def test_a_hang_that_nobody_waits_for_any_more_is_told_all_the_same() -> None:
    async def run() -> None:
        told: list[BatchError] = []
        model, thread = Model(), ModelThread("models", 8, 1.0, deadline_seconds=0.05, on_hung=told.append)
        model.hold.clear()

        async def ask() -> Sequence[int]:
            asking.set(Asking("resonance", ()))
            return await thread.ask(model.double, [1])

        asked = asyncio.create_task(ask())
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.sleep(0.2)
        assert [(one.stage, type(one.cause)) for one in told] == [("resonance", Hung)]
        model.hold.set()
        thread.close()

    asyncio.run(run())


def test_a_suspect_shares_no_call() -> None:
    async def run() -> None:
        model, thread = Model(), ModelThread("models", 8, 1.0)
        model.hold.clear()
        first = asyncio.create_task(thread.ask(model.double, [1]))
        await asyncio.sleep(0.01)

        async def ask(item: int, *, suspected: bool) -> Sequence[int]:
            asking.set(Asking("resonance", (), SUSPECT if suspected else None))
            return await thread.ask(model.double, [item])

        others = [asyncio.create_task(ask(n, suspected=n in {3, 5})) for n in range(2, 7)]
        await asyncio.sleep(0.01)
        model.hold.set()
        await first
        assert [list(answer) for answer in await asyncio.gather(*others)] == [[4], [6], [8], [10], [12]]
        assert sorted(model.batches) == [1, 1, 1, 3]
        thread.close()

    asyncio.run(run())


def test_a_hang_is_told_where_whoever_waits_is_cancelled_in_the_same_turn() -> None:
    async def run() -> None:
        told: list[str] = []

        def hung(error: BatchError) -> None:
            told.append(error.stage)
            # Its answer is there, and it has not heard of it yet.
            asked.cancel()

        async def ask(stage: str) -> Sequence[int]:
            asking.set(Asking(stage, ()))
            return await thread.ask(model.double, [1])

        model, thread = Model(), ModelThread("models", 8, 1.0, deadline_seconds=0.05, on_hung=hung)
        model.hold.clear()
        asked, gone = asyncio.create_task(ask("asked")), asyncio.create_task(ask("gone"))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.wait([asked, gone])
        assert asked.cancelled()
        assert told == ["gone", "asked"]
        model.hold.set()
        thread.close()

    asyncio.run(run())


def test_an_error_that_is_no_calls_ends_the_process() -> None:
    class Broken(Meter):
        def asked(self, *_: object) -> None:
            raise LookupError("asked")

    async def run() -> None:
        told: list[BaseException] = []
        thread = ModelThread("models", 8, 1.0, Broken(), fail=told.append)
        waiting = asyncio.create_task(thread.ask(Model().double, [1]))
        await asyncio.sleep(0.1)
        assert [type(one) for one in told] == [LookupError]
        waiting.cancel()
        thread.close()

    asyncio.run(run())

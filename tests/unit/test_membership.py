"""How a worker's consumer joins its group."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaError,
    UnknownError,
)
from faust.types import TP

from streams.kafka import membership
from streams.kafka.membership import ConsumerThread, Membership

DAY_MS = 24 * 3_600_000


def test_a_worker_without_partitions_is_never_too_idle_for_its_group() -> None:
    """aiokafka counts from the last fetch, and a spare worker fetches nothing for as long as all others live."""

    async def run() -> None:
        thread: Any = object.__new__(ConsumerThread)
        thread.app = SimpleNamespace(
            assignor=RoundRobinPartitionAssignor, conf=SimpleNamespace(broker_client_id="worker")
        )
        thread.consumer = SimpleNamespace(
            membership=Membership({"bootstrap_servers": "127.0.0.1:1"}, "g", None, 6000, 30_000, 1024, 2**20, 100)
        )
        consumer = cast("Any", thread._create_worker_consumer(None))
        try:
            assert consumer._max_poll_interval_ms > 3650 * DAY_MS
        finally:
            await consumer.stop()

    asyncio.run(run())


@pytest.mark.parametrize("error", [GroupAuthorizationFailedError("g"), UnknownError()], ids=repr)
def test_what_ends_a_membership_ends_the_process_and_what_passes_does_not(
    error: KafkaError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka's coordinator stands still, without a heartbeat, until somebody asks it."""
    monkeypatch.setattr(membership, "_ERRORS_EVERY_SECONDS", 0.0)
    coming = iter([None, GroupCoordinatorNotAvailableError(), None, error])
    failures: list[BaseException] = []

    def check_errors() -> None:
        found = next(coming)
        if found is not None:
            raise found

    async def run() -> None:
        thread: Any = object.__new__(ConsumerThread)
        thread.parent_loop = asyncio.get_running_loop()
        thread.consumer = SimpleNamespace(groups=SimpleNamespace(fail=failures.append))
        thread._consumer = SimpleNamespace(_coordinator=SimpleNamespace(check_errors=check_errors))
        # In a thread of its own, as in a worker.
        await asyncio.to_thread(asyncio.run, thread._look_for_errors())
        await asyncio.sleep(0)

    asyncio.run(run())
    assert failures == [error]


@pytest.mark.parametrize("message", ["the group has already rebalanced", "refused"])
def test_a_commit_that_was_not_made_is_an_error(message: str) -> None:
    crashed: list[BaseException] = []

    async def crash(error: BaseException) -> None:
        crashed.append(error)

    async def commit(_: object) -> None:
        raise CommitFailedError(message)

    async def run() -> None:
        thread: Any = object.__new__(ConsumerThread)
        thread.crash, thread.log = crash, SimpleNamespace(exception=lambda *_: None)
        thread._consumer = SimpleNamespace(commit=commit, assignment=lambda: {TP("scenes", 0)})
        thread.tp_last_committed_at = {}
        with pytest.raises(CommitFailedError, match=message):
            await thread._commit({TP("scenes", 0): 7})

    asyncio.run(run())
    assert crashed == []


def test_a_partition_that_is_slow_to_answer_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "_POSITIONS_WITHIN_SECONDS", 0.05)
    here, slow, leaderless = (TP("scenes", number) for number in range(3))

    async def end_offsets(asked: Sequence[TP]) -> dict[TP, int]:
        if leaderless in asked:
            await asyncio.Event().wait()
        return dict.fromkeys(asked, 9)

    async def position(tp: TP) -> int:
        if tp == slow:
            await asyncio.Event().wait()
        return 7

    async def run() -> None:
        thread: Any = object.__new__(ConsumerThread)
        thread.consumer = SimpleNamespace(groups=SimpleNamespace(topics={"scenes"}))
        thread._consumer = SimpleNamespace(
            assignment=lambda: {here, slow, leaderless, TP("other", 0)}, end_offsets=end_offsets, position=position
        )
        assert await thread._positions() == {here: (7, 9), slow: (None, 9)}

    asyncio.run(run())

"""How a worker's consumer joins its group."""

from __future__ import annotations

import asyncio
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

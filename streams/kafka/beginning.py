"""How partitions begin: their former owner is fenced, then what is kept of them is restored, and then they work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

import structlog

from streams.kafka.partition import PartitionRunner
from streams.kafka.patience import until_reached
from streams.kafka.records import Place, Restored
from streams.kafka.restore import Progress, restore

_log = structlog.get_logger(__name__)
_LET_GO_SECONDS = 2.0


class RestoreError(Exception):
    """Rows that took longer to be restored than they may; the message says what to do."""


class Beginning:
    """Begins partitions, side by side: each works as soon as its own rows are back.

    In this order: start the outbox, which fences the dead owner and ends its transaction; restore to the end of the
    changelog; only then may offsets be read. To read offsets before would repeat a batch, for Kafka answers with the
    old offset while a transaction is being completed.
    """

    def __init__(self, options: Mapping[str, object], timeout_seconds: float) -> None:
        self._options = options
        self._timeout_seconds = timeout_seconds
        self._progress: Progress | None = None
        self._letting_go: set[asyncio.Task[None]] = set()

    @property
    def progress(self) -> Mapping[str, int | float] | None:
        """How far the restore under way has come; None where there is none."""
        return None if self._progress is None else self._progress.told()

    async def begin(self, runners: Sequence[PartitionRunner], ready: Callable[[PartitionRunner], None]) -> None:
        """Begin these partitions and tell `ready` of each; raises RestoreError, and what Kafka will not have.

        Of one that was not ready when this raises or is cancelled nothing is kept.
        """
        began = time.monotonic()
        waiting = {runner: _kept_for(runner) for runner in runners}
        try:
            await _all(until_reached("fencing", runner.outbox.start, lambda: False) for runner in runners)
            fenced = time.monotonic()
            async with asyncio.timeout(self._timeout_seconds):
                count = await self._restore(waiting, ready)
        except BaseException as error:
            for runner in waiting:
                drop_rows(runner)
            await self.wait_a_little(self.let_go(runner.outbox.stop() for runner in waiting))
            if isinstance(error, TimeoutError):
                raise RestoreError(
                    f"the rows of {len(waiting)} partitions were not restored within {self._timeout_seconds:g} s; "
                    "see kafka.restore_timeout_seconds"
                ) from error
            raise
        finally:
            self._progress = None
        _log.info(
            "restored",
            partitions=len(runners),
            rows=count,
            fencing_seconds=round(fenced - began, 3),
            seconds=round(time.monotonic() - began, 3),
        )

    def let_go(self, work: Iterable[Coroutine[None, None, None]]) -> Sequence[asyncio.Task[None]]:
        """Have outboxes close in the background; one that cannot is fenced by the next owner of its name."""
        tasks = [asyncio.create_task(one) for one in work]
        self._letting_go.update(tasks)
        for task in tasks:
            task.add_done_callback(self._let_go_done)
        return tasks

    async def wait_a_little(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Wait for what was let go, but not for long."""
        if tasks:
            await asyncio.wait(tasks, timeout=_LET_GO_SECONDS)

    async def _restore(
        self, waiting: dict[PartitionRunner, dict[Place, Restored]], ready: Callable[[PartitionRunner], None]
    ) -> int:
        owners = {place: runner for runner, places in waiting.items() for place in places}
        count = 0

        def done(place: Place) -> None:
            runner = owners[place]
            del waiting[runner][place]
            if not waiting[runner]:
                del waiting[runner]
                ready(runner)

        async def attempt() -> None:
            nonlocal count
            for runner in [runner for runner, places in waiting.items() if not places]:
                del waiting[runner]
                ready(runner)
            wanted = {place: kept for places in waiting.values() for place, kept in places.items()}
            for place, kept in wanted.items():
                kept.drop(place.partition)
            self._progress = Progress()
            try:
                await restore(self._options, wanted, self._progress, done)
            finally:
                count += self._progress.records

        await until_reached("restoring", attempt, lambda: False)
        return count

    def _let_go_done(self, task: asyncio.Task[None]) -> None:
        self._letting_go.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.debug("outbox_closed_hard", error=repr(task.exception()))


def drop_rows(runner: PartitionRunner) -> None:
    """Forget what is kept for a runner's partition."""
    for place, kept in _kept_for(runner).items():
        kept.drop(place.partition)


def _kept_for(runner: PartitionRunner) -> dict[Place, Restored]:
    rows = runner.group.rows
    return {} if rows is None else {Place(rows.changelog, runner.number): rows}


async def _all(work: Iterable[Coroutine[None, None, object]]) -> None:
    """Wait for all; when one raises, the others are given up."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

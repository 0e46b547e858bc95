"""How partitions begin: their former owner is fenced, then what is kept of them is restored, and then they work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

import structlog
from aiokafka.errors import KafkaError

from streams.kafka.meter import Meter
from streams.kafka.partition import PartitionRunner
from streams.kafka.patience import until_reached
from streams.kafka.records import Place, Restored
from streams.kafka.restore import Progress, restore
from streams.kafka.suspects import Suspects

_log = structlog.get_logger(__name__)
_LET_GO_SECONDS = 2.0
_LOOKED_EVERY_SECONDS = 1.0


class RestoreError(Exception):
    """Rows that took longer to be restored than they may; the message says what to do."""


class Beginning:
    """Begins partitions, side by side: each works as soon as its own rows are back.

    In this order: start the outbox, which fences the dead owner and ends its transaction; restore to the end of the
    changelog; only then may offsets be read. To read offsets before would repeat a batch, for Kafka answers with the
    old offset while a transaction is being completed.
    """

    def __init__(
        self,
        options: Mapping[str, object],
        suspects: Suspects,
        timeout_seconds: float,
        meter: Meter,
        reached: Callable[[], bool],
    ) -> None:
        self._options = options
        self._suspects = suspects
        self._meter = meter
        self._timeout_seconds = timeout_seconds
        self._reached = reached
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
        waiting = {runner: self._kept_for(runner) for runner in runners}
        try:
            await _all(until_reached("fencing", runner.outbox.start, lambda: False) for runner in runners)
            fenced = time.monotonic()
            async with asyncio.timeout(self._timeout_seconds) as limit:
                longer = asyncio.create_task(self._wait_longer(limit), name="restore-limit")
                try:
                    count = await self._restore(waiting, ready)
                finally:
                    longer.cancel()
        except BaseException as error:
            for runner in waiting:
                self.drop(runner)
            await self.wait_a_little(self.let_go(runner.outbox.stop() for runner in waiting))
            if isinstance(error, TimeoutError):
                raise RestoreError(
                    f"the rows of {len(waiting)} partitions were not restored within {self._timeout_seconds:g} s; "
                    "see kafka.restore_timeout_seconds"
                ) from error
            raise
        finally:
            self._progress = None
        seconds = time.monotonic() - began
        self._meter.restored(count, seconds)
        _log.info(
            "restored",
            partitions=len(runners),
            rows=count,
            fencing_seconds=round(fenced - began, 3),
            seconds=round(seconds, 3),
        )

    def drop(self, runner: PartitionRunner) -> None:
        """Forget what is kept for a runner's partition."""
        for place, kept in self._kept_for(runner).items():
            kept.drop(place.partition)

    async def take_back(self, runner: PartitionRunner) -> None:
        """Take back what a runner that failed noted ahead, as far as Kafka hears of it: nobody died of it."""
        try:
            await self._suspects.trials.withdraw(runner.number)
        except (KafkaError, OSError) as error:
            _log.warning("notes_stand", error=repr(error))

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
        rows = 0

        def done(place: Place) -> None:
            for runner, places in [*waiting.items()]:
                places.pop(place, None)
                if not places:
                    del waiting[runner]
                    ready(runner)

        async def attempt() -> None:
            nonlocal rows
            await _all(self._suspects.trials.withdraw(runner.number) for runner in waiting)
            wanted = {place: kept for places in waiting.values() for place, kept in places.items()}
            for place, kept in wanted.items():
                kept.drop(place.partition)
            self._progress = Progress(self._meter)
            try:
                await restore(self._options, wanted, self._progress, done)
            finally:
                rows += sum(
                    count for place, count in self._progress.records.items() if place.topic != self._suspects.topic
                )

        await until_reached("restoring", attempt, lambda: False)
        return rows

    async def _wait_longer(self, limit: asyncio.Timeout) -> None:
        """Move the limit on while Kafka is away: a restore is not slow because of that."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(_LOOKED_EVERY_SECONDS)
            before, looked = looked, time.monotonic()
            at = limit.when()
            if at is not None and not limit.expired() and not self._reached():
                limit.reschedule(at + looked - before)

    def _kept_for(self, runner: PartitionRunner) -> dict[Place, Restored]:
        kept: dict[Place, Restored] = {Place(self._suspects.topic, runner.number): self._suspects}
        rows = runner.group.rows
        if rows is not None:
            kept[Place(rows.changelog, runner.number)] = rows
        return kept

    def _let_go_done(self, task: asyncio.Task[None]) -> None:
        self._letting_go.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.debug("outbox_closed_hard", error=repr(task.exception()))


async def give_up(beginning: asyncio.Task[None] | None) -> None:
    """Cancel a task that begins partitions; returns when it has dropped what it kept of them."""
    if beginning is not None and not beginning.done():
        beginning.cancel()
        try:
            await asyncio.wait([beginning])
        except asyncio.CancelledError:
            # Whoever cancels us begins the same partitions: what the task still drops must be dropped before that.
            await asyncio.wait([beginning])
            raise


async def _all(work: Iterable[Coroutine[None, None, object]]) -> None:
    """Wait for all; when one raises, the others are given up."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

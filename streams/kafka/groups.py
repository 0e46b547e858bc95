"""The groups of topics that a worker handles, from the partitions it is assigned to those it gives up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

import structlog
from aiokafka.errors import KafkaError

from streams.kafka.meter import UNMETERED, Meter
from streams.kafka.partition import Limits, PartitionRunner
from streams.kafka.patience import may_pass, until_reached
from streams.kafka.records import Group, Place, Received, Rows
from streams.kafka.restore import restore
from streams.kafka.suspects import BatchError, Suspects
from streams.kafka.transactions import (
    Commit,
    Outbox,
    PlainOutbox,
    Sending,
    SharedProducer,
    TransactionalOutbox,
    send_once,
)

_log = structlog.get_logger(__name__)
# So often in a row without a batch that was committed; then it is not Kafka that is away.
_STARTS_OVER = 5
_LET_GO_SECONDS = 2.0
_NOTED_WITHIN_SECONDS = 10.0


class AssignmentError(Exception):
    """Topics of a group that were not assigned alike; the message says which and what to do."""


class Groups:
    """Runs every assigned partition number of every group.

    On assignment, in this order: start the outboxes, which fences the dead owner and ends its transaction; restore the
    rows to the end of their changelog; only then may offsets be read (`ready`). To read offsets before would repeat a
    batch, for Kafka answers with the old offset while a transaction is being completed.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        sending: Sending,
        limits: Limits,
        suspects: Suspects,
        fail: Callable[[BaseException], None],
        *,
        transactional: bool,
        meter: Meter = UNMETERED,
    ) -> None:
        self.topics = frozenset(topic for group in groups for topic in group.topics)
        # Set by the consumer: how offsets are committed where no transaction does it.
        self.commit: Commit = _no_commit
        self.epoch = 0
        self.draining = False
        # When the consumer last came by for records.
        self.polled_at_seconds = time.monotonic()
        self._groups = groups
        self._sending = sending
        self._limits = limits
        self._suspects = suspects
        self._to_note: list[BatchError] = []
        self._noting: asyncio.Task[None] | None = None
        self.fail = fail
        self._transactional = transactional
        self._meter = meter
        self._runners: dict[Place, PartitionRunner] = {}
        self._starting: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._places: set[Place] = set()
        self._starts_over = 0
        self._letting_go: set[asyncio.Task[None]] = set()

    @property
    def runners(self) -> Sequence[PartitionRunner]:
        """Those that work, one for each partition number of each group."""
        return tuple(dict.fromkeys(self._runners.values()))

    @property
    def joined(self) -> bool:
        """Whether the consumer group has given us our part of it."""
        return self._starting is not None

    @property
    def restored(self) -> bool:
        """Whether our partitions (none at all counts) have their rows back."""
        return self._starting is not None and self._starting.done() and not self._starting.cancelled()

    def assign(self, places: Iterable[Place]) -> None:
        """Begin to own partitions, in the background: a group's heartbeat waits until its callback returns."""
        self._places = {place for place in places if place.topic in self.topics}
        self._begin(self._start(self._places))

    async def ready(self) -> None:
        """Wait until offsets may be read; a beginning that is given up meanwhile gives way to the next."""
        while self._starting is not None and not self._starting.done():
            await asyncio.wait([self._starting])

    async def revoke(self) -> None:
        """Give all partitions up, once the batches in flight are committed."""
        self.epoch += 1
        starting, self._starting = self._starting, None
        if starting is not None and not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
        runners, self._runners = self.runners, {}
        await asyncio.gather(*(runner.stop() for runner in runners))

    def put(self, place: Place, records: Sequence[Received]) -> None:
        """Hand the records of a poll over."""
        self._runners[place].put(place, records)

    def full(self) -> set[Place]:
        """Return the partitions that are paused until there is room."""
        return {place for place, runner in self._runners.items() if runner.is_full(place)}

    async def wait_for_room(self, timeout_seconds: float) -> None:
        """Wait until a partition that was full takes records again."""
        self._room.clear()
        try:
            await asyncio.wait_for(self._room.wait(), timeout_seconds)
        except TimeoutError:
            return

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self.epoch += 1
        self._starting = asyncio.create_task(work, name="start-partitions")
        self._starting.add_done_callback(self._started)

    def _runner_failed(self, error: BaseException) -> None:
        if isinstance(error, BatchError):
            self._to_note.append(error)
        if self._to_note:
            # The process ends; what else fails meanwhile changes nothing.
            self._noting = self._noting or asyncio.create_task(self._note_and_fail(), name="note-suspects")
            return
        if not self.restored:
            # Others that failed of the same cause; they are being dropped.
            return
        if any(runner.committed for runner in self.runners):
            self._starts_over = 0
        if self.draining or not may_pass(error) or self._starts_over >= _STARTS_OVER:
            self.fail(error)
            return
        self._starts_over += 1
        self._meter.started_over()
        _log.warning("kafka_away", what="batch", error=repr(error), starts_over=self._starts_over)
        runners, self._runners = self.runners, {}
        self._begin(self._start_over(runners))

    async def _note_and_fail(self) -> None:
        """Note what failed, until Kafka has it, and end the process; without a note it is tried as before."""
        noted = 0
        try:
            async with asyncio.timeout(_NOTED_WITHIN_SECONDS):
                # Several partitions may have asked the models that hang.
                while noted < len(self._to_note):
                    error = self._to_note[noted]
                    notes = self._suspects.note(error)
                    await send_once(self._sending, notes)
                    noted += 1
                    first, last = error.records[0], error.records[-1]
                    _log.error(
                        "suspects_noted",
                        stage=error.stage,
                        topic=first.topic,
                        partition=first.partition,
                        first_offset=first.offset,
                        last_offset=last.offset,
                        count=len(notes),
                        error=type(error.cause).__name__,
                    )
        except (KafkaError, OSError) as error:
            _log.error("suspects_not_noted", error=repr(error), batches=len(self._to_note) - noted)
        self.fail(self._to_note[0].cause)

    async def _start_over(self, runners: Sequence[PartitionRunner]) -> None:
        await self._let_go(runner.abandon() for runner in runners)
        await self._start(self._places)

    async def _let_go(self, work: Iterable[Coroutine[None, None, None]]) -> None:
        """Wait a little for outboxes to close; one that cannot is fenced by the next owner of its name."""
        tasks = [asyncio.create_task(one) for one in work]
        self._letting_go.update(tasks)
        for task in tasks:
            task.add_done_callback(self._let_go_done)
        if tasks:
            await asyncio.wait(tasks, timeout=_LET_GO_SECONDS)

    def _let_go_done(self, task: asyncio.Task[None]) -> None:
        self._letting_go.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.debug("outbox_closed_hard", error=repr(task.exception()))

    async def _start(self, places: set[Place]) -> None:
        began = time.monotonic()
        runners = {place: runner for runner, owned in self._new_runners(places).items() for place in owned}
        started: list[Outbox] = []
        try:
            for runner in dict.fromkeys(runners.values()):
                started.append(runner.outbox)
                await until_reached("fencing", runner.outbox.start, lambda: False)
            count = await self._restore(runners)
        except BaseException:
            await self._let_go(outbox.stop() for outbox in started)
            raise
        self._runners = runners
        self.polled_at_seconds = time.monotonic()
        for runner in self.runners:
            runner.run()
        seconds = time.monotonic() - began
        self._meter.restored(count, seconds)
        _log.info("restored", partitions=len(places), rows=count, seconds=round(seconds, 3))

    async def _restore(self, runners: Mapping[Place, PartitionRunner]) -> int:
        wanted: dict[Place, Rows] = {}
        for runner in runners.values():
            if runner.group.rows is not None:
                wanted[Place(runner.group.rows.changelog, runner.number)] = runner.group.rows
        suspected = {Place(self._suspects.topic, runner.number): self._suspects for runner in runners.values()}
        count = 0

        async def attempt() -> None:
            nonlocal count
            for group in self._groups:
                if group.rows is not None:
                    group.rows.clear()
            self._suspects.clear()
            count, _ = await asyncio.gather(
                restore(self._sending.options, wanted, self._meter), restore(self._sending.options, suspected)
            )

        await until_reached("restoring", attempt, lambda: False)
        return count

    def _new_runners(self, places: set[Place]) -> dict[PartitionRunner, list[Place]]:
        runners = {}
        shared = SharedProducer(self._sending)
        for group in self._groups:
            for number in sorted({place.partition for place in places if place.topic in group.topics}):
                owned = [Place(topic, number) for topic in group.topics]
                missing = [place for place in owned if place not in places]
                if missing:
                    alone = ", ".join(place.topic for place in missing)
                    raise AssignmentError(
                        f"partition {number} of {alone} was not assigned together with that of "
                        f"{', '.join(group.topics)}: these topics need the same number of partitions; "
                        "see `scenestream topics check`"
                    )
                outbox = self._new_outbox(group, number, shared)
                runner = PartitionRunner(
                    group,
                    number,
                    outbox,
                    self._limits,
                    self._suspects,
                    self._room.set,
                    self._runner_failed,
                    self._meter,
                )
                runners[runner] = owned
        return runners

    def _new_outbox(self, group: Group, number: int, shared: SharedProducer) -> Outbox:
        if self._transactional:
            return TransactionalOutbox(self._sending, f"{self._sending.group_id}-{group.name}-{number}")
        return PlainOutbox(shared, self.commit)

    def _started(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.fail(error)


async def _no_commit(offsets: Mapping[Place, int]) -> None:
    raise LookupError(f"no consumer to commit {dict(offsets)} with")

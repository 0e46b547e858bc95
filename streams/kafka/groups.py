"""The groups of topics that a worker handles, from the partitions it is assigned to those it gives up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence

import structlog

from streams.kafka.assignment import AssignmentError, by_number
from streams.kafka.beginning import Beginning, give_up
from streams.kafka.catching_up import CatchingUp, Ends
from streams.kafka.last_words import LastWords
from streams.kafka.line import Limits
from streams.kafka.meter import UNMETERED, Meter
from streams.kafka.partition import PartitionRunner
from streams.kafka.patience import may_pass, pause_seconds
from streams.kafka.records import Group, Place, Received
from streams.kafka.resting import Resting
from streams.kafka.shared import Commit
from streams.kafka.suspects import BatchError, Suspects
from streams.kafka.transactions import Outboxes, Sending

_log = structlog.get_logger(__name__)
# So often in a row without a batch that was committed; then it is not Kafka that is away.
_STARTS_OVER = 5


class Groups:
    """Runs every assigned partition number of every group.

    A rebalance revokes all partitions and assigns most of them again: their runners rest, and those that may go on do.
    All others begin from Kafka.
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
        reached: Callable[[], bool] = lambda: True,
        catching_up: CatchingUp | None = None,
    ) -> None:
        self.topics = frozenset(topic for group in groups for topic in group.topics)
        # Set by the consumer: how offsets are committed where no transaction does it.
        self.commit: Commit = _no_commit
        # Set by the consumer, too.
        self.leave: Callable[[], Awaitable[None]] = _nothing_to_leave
        self.epoch = 0
        self.draining = False
        self.catching_up = CatchingUp() if catching_up is None else catching_up
        # When the consumer last came by for records.
        self.polled_at_seconds = time.monotonic()
        self._groups = groups
        self._outboxes = Outboxes(sending, transactional=transactional)
        self._limits = limits
        self._suspects = suspects
        self._meter = meter
        self._last_words = LastWords(sending, suspects, fail)
        self.fail = self._last_words.end
        self._beginning = Beginning(sending.options, suspects, limits.restore_seconds, meter, reached)
        self._runners: dict[Place, PartitionRunner] = {}
        self._resting = Resting(self._beginning)
        self._unsought: set[Place] = set()
        self._starting: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._places: set[Place] = set()
        self._starts_over = 0

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
        # Read once, for the watchdog asks from its own thread.
        starting = self._starting
        return starting is not None and starting.done() and not starting.cancelled()

    @property
    def restoring(self) -> Mapping[str, int | float] | None:
        """How far the rows are restored; None where none are being restored."""
        return self._beginning.progress

    def assign(self, places: Iterable[Place], generation: int) -> None:
        """Begin to own partitions, in the background: a group's heartbeat waits until its callback returns."""
        self._places = {place for place in places if place.topic in self.topics}
        self._begin(self._start(generation))

    async def revoke(self) -> None:
        """Give all partitions up, once the batches in flight are committed."""
        self.epoch += 1
        # First of all: what fails from now on must not begin anew what is being given up.
        runners = self._take_all()
        starting, self._starting = self._starting, None
        await give_up(starting)
        runners += self._take_all()
        await asyncio.gather(*(self._resting.rest(runner) for runner in runners))
        if self.draining:
            await self._resting.stop()

    def unsought(self) -> Mapping[Place, int | None]:
        """Return the partitions that work and whose committed offset was not read since they began."""
        return {place: self._runners[place].next_offsets.get(place) for place in self._unsought}

    def sought(self, places: Iterable[Place]) -> None:
        """Take note that these are read from their committed offsets now."""
        places = [*places]
        self._unsought.difference_update(places)
        self.catching_up.begin(places)

    def seek_again(self) -> None:
        """Have all partitions read from their committed offsets: records of a poll were dropped."""
        self._unsought.update(self._runners)

    def full(self) -> set[Place]:
        """Return the partitions that are paused until there is room."""
        return {place for place, runner in self._runners.items() if runner.is_full(place)}

    def open(self) -> set[Place]:
        """Return the partitions that take records: they work, and there is room; none where the process ends.

        What ends it may have cost records of a poll, and those behind them must not be committed.
        """
        if self._last_words.begun:
            return set()
        shut = self._unsought | self.catching_up.held
        return {place for place, runner in self._runners.items() if place not in shut and not runner.is_full(place)}

    def hurried(self) -> bool:
        """Return whether more partitions may soon take records, so that a poll should not wait for long."""
        return not self.restored or len(self.open()) < len(self._runners)

    def caught_up(self, stands: Ends) -> None:
        """Let those be read that waited for others to stand where these do."""
        self.catching_up.look(stands, lambda place: place in self._runners and self._runners[place].is_open(place))

    def put(self, place: Place, records: Sequence[Received]) -> None:
        """Hand the records of a poll over."""
        self._runners[place].put(place, records)

    async def wait_for_room(self, timeout_seconds: float) -> None:
        """Wait until a partition that was full takes records again, or one begins."""
        self._room.clear()
        try:
            await asyncio.wait_for(self._room.wait(), timeout_seconds)
        except TimeoutError:
            return

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        self.epoch += 1
        self._starting = asyncio.create_task(work, name="start-partitions")
        self._starting.add_done_callback(self._started)

    def failed_on(self, error: BatchError) -> None:
        """Note what a batch failed on, whoever has its partition now, and end the process."""
        self._last_words.say(error)

    def commit_failed(self, error: BaseException) -> None:
        """Begin anew from Kafka, or end the process: offsets that were thought committed may not be."""
        self._runner_failed(error)

    def _runner_failed(self, error: BaseException) -> None:
        if isinstance(error, BatchError):
            self.failed_on(error)
        if self._last_words.begun:
            return
        if not self._runners:
            # Others that failed of the same cause; they are being dropped.
            return
        if any(runner.committed_offsets for runner in self.runners):
            # Since the last time: those that work have begun after it.
            self._starts_over = 0
        if self.draining or not may_pass(error) or self._starts_over >= _STARTS_OVER:
            self.fail(error)
            return
        self._starts_over += 1
        self._meter.started_over()
        _log.warning("kafka_away", what="batch", error=repr(error), starts_over=self._starts_over)
        runners = self._take_all()
        for runner in runners:
            # Before its rows are dropped: on none it would begin them anew, and its outbox may well commit that.
            runner.halt()
            self._beginning.drop(runner)
        self._outboxes.renew()
        leaving = self._beginning.let_go(runner.abandon() for runner in runners)
        self._begin(self._start_over(leaving, self._starting))

    async def _start_over(self, leaving: Sequence[asyncio.Task[None]], starting: asyncio.Task[None] | None) -> None:
        await give_up(starting)
        await self._beginning.wait_a_little(leaving)
        await asyncio.sleep(pause_seconds(self._starts_over))
        await self._start(self._resting.generation)

    async def _start(self, generation: int) -> None:
        try:
            owned = by_number(self._groups, self._places)
        except AssignmentError:
            # A static member that comes back is given the same again, also when all is well meanwhile.
            await self.leave()
            raise
        kept = self._resting.wake(owned, generation)
        new = {self._new_runner(group, name[1]): places for name, (group, places) in owned.items() if name not in kept}
        for name, runner in kept.items():
            self._work(runner, owned[name][1])
        _log.info("assigned", partitions=len(self._places), generation=generation, kept=len(kept), begun=len(new))
        await self._beginning.begin([*new], lambda runner: self._work(runner, new[runner]))

    def _take_all(self) -> list[PartitionRunner]:
        """Return those that work, and know of none any more."""
        runners, self._runners = self.runners, {}
        self._unsought.clear()
        self.catching_up.forget()
        return [*runners]

    def _work(self, runner: PartitionRunner, places: Iterable[Place]) -> None:
        for place in places:
            self._runners[place] = runner
            self._unsought.add(place)
        self.polled_at_seconds = time.monotonic()
        runner.run()
        self._room.set()

    def _new_runner(self, group: Group, number: int) -> PartitionRunner:
        outbox = self._outboxes.of(f"{group.name}-{number}", self.commit)
        return PartitionRunner(
            group, number, outbox, self._limits, self._suspects, self._room.set, self._runner_failed, self._meter
        )

    def _started(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.fail(error)


async def _no_commit(offsets: Mapping[Place, int]) -> None:
    raise LookupError(f"no consumer to commit {dict(offsets)} with")


async def _nothing_to_leave() -> None:
    """Do nothing: there is no consumer."""

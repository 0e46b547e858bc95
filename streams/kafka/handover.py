"""A Faust transport whose consumer hands over the records of a poll, per partition, as one batch.

Faust (0.15) spends two tasks and several turns of the event loop on each message, and `Stream.take`, which gathers
messages into a batch again, acknowledges a batch whose body raised. Here the records of a poll of the topics named by
`Groups` go to it as they come from aiokafka, a batch for each partition, and never reach a stream. Everything else
stays Faust's own: membership and the assignor, which puts equal partition numbers of all topics on one worker; the
rebalance and its order of events; tables; the web server. Topics that are not named are delivered to streams as ever.

What differs for the topics named:

- **Offsets** are committed by whoever handles the batch (in its transaction). `Consumer.commit`, which Faust calls on a
  timer, in the middle of a batch, does nothing.
- **Tables** are restored by `Groups` and not by Faust's recovery, which takes the last stable offset of a former fetch
  for the end of a changelog and so restores too little. `highwaters` says 0 to it: nothing to do. Standby replicas must
  be off (`table_standby_replicas=0`): they write late events over restored rows.
- **Seeking** to the committed offsets, which Faust does when recovery is over, is done for each partition on its own,
  when `Groups` has its rows back; those that are kept through a rebalance go on at once.
- **Backpressure**: a partition whose batches wait is left out of the next polls, Kafka's own pause.
- **Leaving**: a static member that stops for good says so to the group. aiokafka never sends LeaveGroup for static
  members, so that their partitions would wait for the session timeout.

Use: `app.transport = Transport(app.conf.broker_consumer, app, groups=groups, membership=membership)` before the app
starts. All is done by subclasses that Faust asks for (`Transport.Consumer`, `Consumer._new_consumer_thread`); no class
of Faust or aiokafka is changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar

import structlog
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from yarl import URL

from streams.kafka.groups import Groups
from streams.kafka.membership import ConsumerThread, Membership
from streams.kafka.patience import may_pass, until_reached
from streams.kafka.records import Place
from streams.kafka.shared import SharedCommits

_log = structlog.get_logger(__name__)
_POLL_IN_A_HURRY_SECONDS = 0.02
_AWAY_SECONDS = 0.5
# What comes right behind a poll is worth waiting for: each poll costs two threads a turn, and fills a batch of its own.
_GATHER_SECONDS = 0.01


class Consumer(driver.Consumer):
    """Hands batches over; see the module."""

    transport: Transport
    _thread: ConsumerThread

    def __init__(self, transport: Transport, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's own arguments
        self.groups = transport.groups
        self.membership = transport.membership
        self._catching_up: asyncio.Task[None] | None = None
        super().__init__(transport, *args, **kwargs)
        self.groups.commit = SharedCommits(self._commit_places).commit
        self.groups.leave = self._leave

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is in flight before Faust lets the partitions go."""
        self.stop_flow()
        await self.groups.revoke()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin to own partitions, then let Faust do the same."""
        self.groups.assign((Place(tp.topic, tp.partition) for tp in assigned), generation_id)
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Do nothing: each partition's committed offsets are read when its rows are back."""

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Tell Faust's recovery that there is nothing to restore."""
        return dict.fromkeys(partitions, 0)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ANN401, ARG002, FBT001, FBT002
        """Do nothing: whoever handles a batch commits its offsets."""
        return False

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's own signature
        """Poll once; hand over what is handled in batches, yield the rest.

        Faust restarts nothing when this raises, and the worker would look alive: an error ends the process.
        """
        rest: Mapping[TP, Any] = {}
        try:
            rest = await self._poll(timeout)
        except self.consumer_stopped_errors:
            raise
        except Exception as error:  # noqa: BLE001 - told to whoever ends the process
            if may_pass(error):
                await self.sleep(_AWAY_SECONDS)
            else:
                self.groups.fail(error)
        for tp, record in self.scheduler.iterate(rest):
            yield tp, self._to_message(tp, record)

    async def _poll(self, timeout_seconds: float) -> Mapping[TP, Any]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow.wait())
        self.groups.polled_at_seconds = time.monotonic()
        epoch = self.groups.epoch
        unsought = self.groups.unsought()
        if unsought:
            # Begun, or gone on with after a rebalance: what was read and not committed is read again.
            await self._thread.seek_to(unsought)
            if epoch != self.groups.epoch:
                return {}
            self.groups.sought(unsought)
        if self.groups.catching_up.held and (self._catching_up is None or self._catching_up.done()):
            # Beside the polls: a partition whose leader is away keeps whoever asks for its end waiting.
            self._catching_up = asyncio.create_task(self._catch_up(), name="catch-up")
        open_places = self.groups.open()
        wanted = {
            tp
            for tp in self._get_active_partitions()
            if tp.topic not in self.groups.topics or Place(*tp) in open_places
        }
        if not wanted:
            await self.groups.wait_for_room(timeout_seconds)
            return {}
        hurried = self.groups.hurried()
        records = await self._getmany(wanted, _POLL_IN_A_HURRY_SECONDS if hurried else timeout_seconds)
        if self.should_stop or not records:
            return {}
        if epoch != self.groups.epoch or not self.flow_active:
            # Partitions moved while the poll was under way: its records may be of before.
            self.groups.seek_again()
            return {}
        rest = {}
        for tp, batch in records.items():
            if tp.topic in self.groups.topics:
                self.groups.put(Place(tp.topic, tp.partition), batch)
            else:
                rest[tp] = batch
        await asyncio.sleep(_GATHER_SECONDS)
        return rest

    async def _catch_up(self) -> None:
        epoch = self.groups.epoch
        begun = {place.partition for place in self.groups.catching_up.held}
        try:
            stands = await self.ends()
        except Exception as error:  # noqa: BLE001 - it is asked again; what ends the consumer is told elsewhere
            _log.warning("ends_not_known", error=repr(error))
            await asyncio.sleep(_AWAY_SECONDS)
            return
        if epoch == self.groups.epoch:
            self.groups.caught_up({place: stand for place, stand in stands.items() if place.partition in begun})

    async def ends(self) -> Mapping[Place, tuple[int | None, int]]:
        """Return of each partition that is handed over where we stand and where it ends, as far as anybody knows."""
        found = await self._thread.positions()
        return {Place(*tp): stand for tp, stand in found.items()}

    async def on_stop(self) -> None:
        """Finish the batches in flight, commit them and let go."""
        self.groups.draining = True
        await self.groups.revoke()
        if self._catching_up is not None:
            self._catching_up.cancel()
        self.transport.forget_topics()

    async def _leave(self) -> None:
        await self._thread.leave()

    async def _commit_places(self, offsets: Mapping[Place, int]) -> None:
        try:
            await self._thread.commit({TP(*place): offset for place, offset in offsets.items()})
        except Exception as error:
            # Whoever sent the batch hears of it with the next one only, and there may be none for long.
            self.groups.commit_failed(error)
            raise


class Producer(driver.Producer):
    """Faust's own producer, which waits for its broker and then looks whether the topics are right."""

    transport: Transport

    async def on_start(self) -> None:
        """Start the producer; while Kafka is away, try again."""
        await until_reached("producer", self._begin, lambda: self.should_stop)

    async def is_answered(self, within_seconds: float) -> bool:
        """Return whether Kafka answers."""
        if self._producer is None:
            return False
        try:
            await asyncio.wait_for(self._producer.client.fetch_all_metadata(), within_seconds)
        except (KafkaError, OSError, TimeoutError):
            return False
        return True

    async def _begin(self) -> None:
        await self.transport.check()
        await super().on_start()

    def _settings_auth(self) -> Mapping[str, Any]:
        return {name: value for name, value in self.transport.membership.options.items() if name != "bootstrap_servers"}


class Transport(driver.Transport):
    """Kafka by aiokafka, with batches handed over to `groups`."""

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer

    def __init__(
        self,
        url: Iterable[URL],
        app: Any,  # noqa: ANN401 - Faust's own
        *,
        groups: Groups,
        membership: Membership,
        check: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(list(url), app)
        self.groups = groups
        self.membership = membership
        self.check = check

    def forget_topics(self) -> None:
        """Forget who waits for topics to be created, as Faust's consumer does when it stops."""
        self._topic_waiters.clear()

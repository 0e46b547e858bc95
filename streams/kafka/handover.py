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
- **Seeking** to the committed offsets, which Faust does when recovery is over, waits until `Groups` is ready.
- **Backpressure**: a partition whose batches wait is left out of the next polls, Kafka's own pause.
- **Leaving**: a static member that stops for good says so to the group. aiokafka never sends LeaveGroup for static
  members, so that their partitions would wait for the session timeout.

Use: `app.transport = Transport(app.conf.broker_consumer, app, groups=groups, membership=membership)` before the app
starts. All is done by subclasses that Faust asks for (`Transport.Consumer`, `Consumer._new_consumer_thread`); no class
of Faust or aiokafka is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import aiokafka
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from yarl import URL

from streams.kafka.groups import Groups
from streams.kafka.patience import until_reached
from streams.kafka.records import Place

_POLL_WHILE_FULL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Membership:
    """How the consumer reaches Kafka and joins its group."""

    options: Mapping[str, object]
    group_id: str
    instance_id: str | None
    session_timeout_ms: int
    rebalance_timeout_ms: int
    max_poll_records: int
    max_fetch_bytes: int
    fetch_wait_ms: int


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka's consumer lives."""

    consumer: Consumer

    async def on_start(self) -> None:
        """Start the consumer; while Kafka is away, try again."""
        await super(driver.AIOKafkaConsumerThread, self).on_start()

        async def attempt() -> None:
            self._consumer = self._create_consumer(loop=self.thread_loop)
            try:
                await self._consumer.start()
            except BaseException:
                await self._consumer.stop()
                raise

        self.time_started = asyncio.get_running_loop().time()
        await until_reached("consumer", attempt, lambda: self.should_stop)

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002
        """Return a consumer that reads committed records only, joined as `Membership` says."""
        self._assignor = self.app.assignor
        membership = self.consumer.membership
        return aiokafka.AIOKafkaConsumer(
            **membership.options,
            client_id=self.app.conf.broker_client_id,
            group_id=membership.group_id,
            group_instance_id=membership.instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=membership.max_poll_records,
            max_partition_fetch_bytes=membership.max_fetch_bytes,
            fetch_max_wait_ms=membership.fetch_wait_ms,
            session_timeout_ms=membership.session_timeout_ms,
            heartbeat_interval_ms=membership.session_timeout_ms // 3,
            rebalance_timeout_ms=membership.rebalance_timeout_ms,
            # A worker that is busy or has nothing to do still polls; one that hangs is the watchdog's business.
            max_poll_interval_ms=max(300_000, membership.rebalance_timeout_ms),
        )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every partition that is handed over to its committed offset, or to its beginning where there is none."""
        offsets: Mapping[TP, int] = await self.call_thread(self._seek)
        return offsets

    async def _seek(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        mine = [tp for tp in consumer.assignment() if tp.topic in self.consumer.groups.topics]
        offsets = dict(zip(mine, await asyncio.gather(*(consumer.committed(tp) for tp in mine)), strict=True))
        for tp, offset in offsets.items():
            if offset is not None:
                consumer.seek(tp, offset)
        fresh = [tp for tp, offset in offsets.items() if offset is None]
        if fresh:
            await consumer.seek_to_beginning(*fresh)
        return offsets

    async def on_thread_stop(self) -> None:
        """Leave the group and stop."""
        if self._consumer is not None and self._consumer._coordinator is not None:  # noqa: SLF001
            # aiokafka's coordinator leaves its group when it is closed, unless it knows of an instance id.
            self._consumer._coordinator._group_instance_id = None  # noqa: SLF001
        await super().on_thread_stop()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Say nothing: Faust would look for streams that take part, and there are none."""


class Consumer(driver.Consumer):
    """Hands batches over; see the module."""

    transport: Transport

    def __init__(self, transport: Transport, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's own arguments
        self.groups = transport.groups
        self.membership = transport.membership
        self._must_seek = False
        super().__init__(transport, *args, **kwargs)
        self.groups.commit = self._commit_places

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is in flight before Faust lets the partitions go."""
        self.stop_flow()
        await self.groups.revoke()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin to own partitions, then let Faust do the same."""
        self.groups.assign(Place(tp.topic, tp.partition) for tp in assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Read the committed offsets, when it is time to."""
        await self.groups.ready()
        await super().perform_seek()

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Tell Faust's recovery that there is nothing to restore."""
        return dict.fromkeys(partitions, 0)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ANN401, ARG002, FBT001, FBT002
        """Do nothing: whoever handles a batch commits its offsets."""
        return False

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's own signature
        """Poll once; hand over what is handled in batches, yield the rest."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow.wait())
        if self._must_seek:
            self._must_seek = False
            await self.perform_seek()
        epoch = self.groups.epoch
        full = self.groups.full()
        wanted = {tp for tp in self._get_active_partitions() if Place(*tp) not in full}
        if not wanted:
            await self.groups.wait_for_room(timeout)
            return
        records = await self._getmany(wanted, _POLL_WHILE_FULL_SECONDS if full else timeout)
        if self.should_stop or not records:
            return
        if epoch != self.groups.epoch or not self.flow_active:
            # Partitions moved while the poll was under way: its records may be of before, so they are read again.
            self._must_seek = True
            return
        rest = {}
        for tp, batch in records.items():
            if tp.topic in self.groups.topics:
                self.groups.put(Place(tp.topic, tp.partition), batch)
            else:
                rest[tp] = batch
        for tp, record in self.scheduler.iterate(rest):
            yield tp, self._to_message(tp, record)

    async def on_stop(self) -> None:
        """Finish the batches in flight, commit them and let go."""
        self.groups.draining = True
        await self.groups.revoke()
        self.transport.forget_topics()

    async def _commit_places(self, offsets: Mapping[Place, int]) -> None:
        await self._thread.commit({TP(*place): offset for place, offset in offsets.items()})


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

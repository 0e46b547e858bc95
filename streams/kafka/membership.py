"""How a worker's consumer joins its group, finds where to begin, and leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import aiokafka
import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.kafka.patience import until_reached
from streams.kafka.records import Place

_log = structlog.get_logger(__name__)
_POSITIONS_WITHIN_SECONDS = 3.0
_ERRORS_EVERY_SECONDS = 1.0
Answer = TypeVar("Answer")

if TYPE_CHECKING:
    from streams.kafka.handover import Consumer

_HEARTBEAT_MS = 500
# aiokafka takes a consumer that fetches nothing for so long out of its group, and never lets it in again: a spare one
# has no partition to fetch, and one that restores fetches later. One that hangs is the watchdog's business.
_NEVER_MS = 100 * 365 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Membership:
    """How the consumer reaches Kafka and joins its group."""

    # Passwords are among them.
    options: Mapping[str, object] = field(repr=False)
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
    _looking_for_errors: asyncio.Task[None] | None = None

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
        if await until_reached("consumer", attempt, lambda: self.should_stop):
            self._looking_for_errors = asyncio.create_task(self._look_for_errors(), name="group-errors")

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
            # How soon a worker hears of a rebalance, for which all others stand still.
            heartbeat_interval_ms=min(_HEARTBEAT_MS, membership.session_timeout_ms // 3),
            rebalance_timeout_ms=membership.rebalance_timeout_ms,
            max_poll_interval_ms=_NEVER_MS,
        )

    async def _look_for_errors(self) -> None:
        """Ask the coordinator whether all is well, which Faust never does.

        aiokafka's has no heartbeat and joins no more until somebody has heard of what went wrong.
        """
        while True:
            await asyncio.sleep(_ERRORS_EVERY_SECONDS)
            try:
                self._ensure_consumer()._coordinator.check_errors()  # noqa: SLF001
            except Exception as error:  # noqa: BLE001 - told to whoever ends the process
                if isinstance(error, KafkaError) and error.retriable:
                    _log.warning("kafka_away", what="group", error=repr(error))
                    continue
                self.parent_loop.call_soon_threadsafe(self.consumer.groups.fail, error)
                return

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; raises where Faust says False, which nobody hears, or stops the thread."""
        await self._ensure_consumer().commit(
            {aiokafka.TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
        )
        return True

    async def seek_to(self, places: Mapping[Place, int | None]) -> None:
        """Seek to these offsets; where there is none to the committed one, and to the beginning where nothing is."""
        await self.call_thread(self._seek_to, places)

    async def _seek_to(self, places: Mapping[Place, int | None]) -> None:
        consumer = self._ensure_consumer()
        assigned = {tp: places[Place(*tp)] for tp in consumer.assignment() if Place(*tp) in places}
        asked = [tp for tp, offset in assigned.items() if offset is None]
        committed = await asyncio.gather(*(consumer.committed(tp) for tp in asked))
        offsets = assigned | dict(zip(asked, committed, strict=True))
        for tp, offset in offsets.items():
            if offset is not None:
                consumer.seek(tp, offset)
        fresh = [tp for tp, offset in offsets.items() if offset is None]
        if fresh:
            await consumer.seek_to_beginning(*fresh)

    async def positions(self) -> Mapping[TP, tuple[int | None, int]]:
        """Return of each partition that is handed over the position, None where there is none, and the end.

        One whose end Kafka does not say is left out.
        """
        found: Mapping[TP, tuple[int | None, int]] = await self.call_thread(self._positions)
        return found

    async def _positions(self) -> Mapping[TP, tuple[int | None, int]]:
        consumer = self._ensure_consumer()
        mine = [tp for tp in consumer.assignment() if tp.topic in self.consumer.groups.topics]
        ends: Mapping[TP, int] | None = await _said(consumer.end_offsets(mine))
        if ends is None:
            # One without a leader keeps all others waiting.
            found = await asyncio.gather(*(_said(consumer.end_offsets([tp])) for tp in mine))
            ends = {tp: end for one in found if one is not None for tp, end in one.items()}
        positions = await asyncio.gather(*(_said(consumer.position(tp)) for tp in ends))
        return {tp: (position, end) for (tp, end), position in zip(ends.items(), positions, strict=True)}

    async def leave(self) -> None:
        """Leave the group."""
        await self.call_thread(self._leave)

    async def _leave(self) -> None:
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001
        coordinator._group_instance_id = None  # noqa: SLF001
        await _said(coordinator._maybe_leave_group())  # noqa: SLF001

    async def on_thread_stop(self) -> None:
        """Leave the group and stop."""
        if self._looking_for_errors is not None:
            self._looking_for_errors.cancel()
        if self._consumer is not None and self._consumer._coordinator is not None:  # noqa: SLF001
            # aiokafka's coordinator leaves its group when it is closed, unless it knows of an instance id.
            self._consumer._coordinator._group_instance_id = None  # noqa: SLF001
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._consumer is None or task is None or task.cancelling():
                raise
            # aiokafka's own: its close() is cut short by a fetch it cancelled that was waiting for Kafka to come back.
            await self._consumer._client.close()  # noqa: SLF001

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Say nothing: Faust would look for streams that take part, and there are none."""


async def _said(asked: Awaitable[Answer]) -> Answer | None:
    """Return what Kafka says; None where it does not say so in time."""
    try:
        async with asyncio.timeout(_POSITIONS_WITHIN_SECONDS):
            return await asked
    except (KafkaError, OSError):
        return None

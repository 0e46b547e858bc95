"""The remote runtime: a log through a pipeline that runs elsewhere, on Kafka, in lockstep per key.

A key's next turn is sent when the last is final and, after feedback, when its row has come back; many keys are open at
once. So the workers decide the same as the embedded runtime does, however many they are.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from queue import SimpleQueue

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from schemas import topics
from schemas.dead import DeadReason
from schemas.feedback import Feedback
from streams.kafka import wire
from streams.kafka.clients import client_options, connected, hidden, partitions_of
from streams.kafka.dead_letters import marked, read_letter
from streams.kafka.records import Received
from streams.replay.items import Item
from streams.runtimes.echoes import Echoes, Entry
from streams.runtimes.lockstep import Outcome
from streams.runtimes.rows import RowStore
from streams.runtimes.timings import Timings
from streams.settings import KafkaSettings
from streams.stages.admit import Refusal
from streams.topology import AGENTS

_log = structlog.get_logger(__name__)
_FINAL = frozenset({topics.READY, topics.WITHHELD, topics.REASONING})
_ONWARD = frozenset({topics.REGENERATE, topics.ANALOGUE})
_DEAD = frozenset(topics.dead_topic(agent.reads) for agent in AGENTS)
_GLANCE_SECONDS = 0.2


class RemoteError(Exception):
    """A pipeline that does not answer, or not in our words; the message says what, where and what to do."""


class RemoteRuntime:
    """Sends one log and yields what becomes of it; `rows` and `timings` may be looked at when it is done."""

    def __init__(self, kafka: KafkaSettings, open_scenes: int) -> None:
        self.timings = Timings()
        self._kafka = kafka
        self._room = threading.Semaphore(open_scenes)
        self._stopping = threading.Event()
        self._rows_before = 0
        self._to_send: asyncio.Queue[Entry | None] = asyncio.Queue()
        self._echoes = Echoes(self.timings, self._to_send.put_nowait, time.monotonic)
        self._unsent: BaseException | None = None
        # What workers say of the models that decided this log, a sha256 for all of them; several where workers differ.
        self.stamps: set[str] = set()
        self._reading = True
        self._failed: BaseException | None = None
        self._in_order: deque[Entry] = deque()
        self._outbox: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()
        self._names = {kafka.topic(name): name for name in (*_FINAL, *_ONWARD, *_DEAD, topics.SENSITIVITY)}

    @property
    def rows(self) -> RowStore:
        """The sensitivity rows as they stand."""
        return self._echoes.rows

    def run(self, items: Iterable[Item]) -> Generator[Outcome, None, None]:
        """Yield the outcome of every item, in the order of the log; raises RemoteError where answers stay away."""
        thread = threading.Thread(target=self._in_thread, args=(iter(items),), name="kafka-replay", daemon=True)
        thread.start()
        try:
            while (settled := self._outbox.get()) is not None:
                if isinstance(settled, BaseException):
                    raise settled
                yield settled
                self._room.release()
        finally:
            self._stopping.set()
            self._room.release()
            thread.join(self._kafka.drain_timeout_seconds)

    def _in_thread(self, items: Iterator[Item]) -> None:
        try:
            asyncio.run(self._talk(items))
            self._outbox.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
            self._outbox.put(error)

    async def _talk(self, items: Iterator[Item]) -> None:
        partitions = await partitions_of(self._kafka, self._names)
        unseen = await hidden(self._kafka, self._names, partitions)
        if unseen is not None:
            raise unseen
        missing = self._names.keys() - {partition.topic for partition in partitions}
        if missing:
            raise RemoteError(f"no topic {min(missing)}; `scenestream topics create` makes it")
        async with AsyncExitStack() as stack:
            reader = await stack.enter_async_context(connected(self._reader(), self._kafka))
            producer = await stack.enter_async_context(connected(self._producer(), self._kafka))
            await self._start_at_the_end(reader, partitions)
            sender = asyncio.create_task(self._send_all(producer))
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._read, args=(items, loop), name="log-reader", daemon=True).start()
            try:
                await self._listen(reader, sender)
            finally:
                self._to_send.put_nowait(None)
                await asyncio.wait({sender})
            if self._stopping.is_set():
                return
            await self._catch_up(reader, [one for one in partitions if self._names[one.topic] == topics.SENSITIVITY])
        if self._failed is not None:
            raise self._failed

    async def _start_at_the_end(self, reader: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        reader.assign(partitions)
        await reader.seek_to_end(*partitions)
        ends = [await reader.position(partition) for partition in partitions]
        self._rows_before = sum(
            end for one, end in zip(partitions, ends, strict=True) if self._names[one.topic] == topics.SENSITIVITY
        )

    def _read(self, items: Iterator[Item], loop: asyncio.AbstractEventLoop) -> None:
        error: BaseException | None = None
        with suppress(RuntimeError):  # the loop is closed: nobody waits for this log any more
            try:
                for item in items:
                    self._room.acquire()
                    if self._stopping.is_set():
                        return
                    loop.call_soon_threadsafe(self._arrive, item)
            except Exception as caught:  # noqa: BLE001 - raised again once what was read is settled
                error = caught
            loop.call_soon_threadsafe(self._end, error)

    def _arrive(self, item: Item) -> None:
        entry = Entry(item)
        self._in_order.append(entry)
        self._echoes.arrive(entry)

    def _end(self, error: BaseException | None) -> None:
        self._reading, self._failed = False, error

    async def _send_all(self, producer: AIOKafkaProducer) -> None:
        while (entry := await self._to_send.get()) is not None:
            event = entry.item.event
            assert not isinstance(event, Refusal)  # noqa: S101 - those are never sent
            topic = topics.FEEDBACK if isinstance(event, Feedback) else topics.SCENES
            if topic == topics.SCENES and self._rows_before:
                hint = "turns that came before are dead letters as duplicates"
                _log.warning("rows_from_before", rows=self._rows_before, hint=hint)
                self._rows_before = 0
            message = wire.encode(event, at=datetime.now(UTC))
            try:
                sent = await producer.send(
                    self._kafka.topic(topic), message.value, key=message.key, headers=list(message.headers)
                )
            except MessageSizeTooLargeError:
                most = self._kafka.topics.max_message_bytes
                what = f"the message is over {most} bytes (SCENESTREAM_KAFKA__TOPICS__MAX_MESSAGE_BYTES)"
                self._echoes.refused(entry, Refusal(DeadReason.TOO_LONG, what))
            else:
                sent.add_done_callback(self._look_at)

    def _look_at(self, sent: asyncio.Future[object]) -> None:
        if not sent.cancelled() and (error := sent.exception()) is not None:
            self._unsent = error

    async def _listen(self, reader: AIOKafkaConsumer, sender: asyncio.Task[None]) -> None:
        settled, since = 0, time.monotonic()
        while not self._stopping.is_set():
            if sender.done():
                sender.result()
            if self._unsent is not None:
                raise RemoteError(f"a scene could not be sent: {self._unsent}") from self._unsent
            self._pass_on()
            if not self._reading and not self._in_order:
                return
            for records in (await reader.getmany(timeout_ms=round(_GLANCE_SECONDS * 1000))).values():
                for record in records:
                    self._take(record)
            oldest = self._echoes.oldest()
            if self._echoes.settled != settled or oldest is None:
                settled, since = self._echoes.settled, time.monotonic()
            elif time.monotonic() - max(since, oldest.sent_at_seconds) > self._kafka.patience_seconds:
                raise RemoteError(self._silence(oldest))

    async def _catch_up(self, reader: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        """Read the rows to their end: a scene's row may come after its decision."""
        ends = await reader.end_offsets(partitions)
        while any([await reader.position(partition) < ends[partition] for partition in partitions]):
            for records in (await reader.getmany(timeout_ms=round(_GLANCE_SECONDS * 1000))).values():
                for record in records:
                    self._take(record)

    def _pass_on(self) -> None:
        while self._in_order and self._in_order[0].outcome is not None:
            self._outbox.put(self._in_order.popleft().outcome)

    def _take(self, record: Received) -> None:
        name = self._names[record.topic]
        if name == topics.SENSITIVITY:
            row = wire.decode_row(record.key, record.value)
            if not isinstance(row, Refusal):
                self._echoes.tuned(row, record.headers)
        elif name in _DEAD:
            if marked(record) is None:
                self._echoes.died(read_letter(record))
        else:
            carried = wire.header(record.headers, wire.DECISION) if name in _ONWARD else None
            value = record.value if name in _FINAL else None if carried is None else carried.encode()
            decision = wire.decode_decision(record.key, value)
            if isinstance(decision, Refusal):
                _log.warning("not_a_decision", topic=record.topic, offset=record.offset, reason=decision.detail)
            elif self._echoes.decided(decision):
                # Others may send scenes meanwhile, which are nothing to this log.
                stamp = wire.header(record.headers, wire.MODELS)
                self.stamps.update(() if stamp is None else (stamp,))

    def _silence(self, entry: Entry) -> str:
        event = entry.item.event
        what = "a line" if isinstance(event, Refusal) else f"{event.type} {event.scene_id}"
        return (
            f"no answer to {what} within {self._kafka.patience_seconds:.0f} s; is a `scenestream worker` running on "
            f"{self._kafka.bootstrap_servers}, with the same topics? (SCENESTREAM_KAFKA__PATIENCE_SECONDS waits longer)"
        )

    def _reader(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **client_options(self._kafka),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._kafka.fetch_wait_ms,
        )

    def _producer(self) -> AIOKafkaProducer:
        # Idempotent, for a retry must not send a turn twice; what the topic would refuse must not be tried, for that
        # breaks the sequence of such a producer.
        return AIOKafkaProducer(
            **client_options(self._kafka),
            enable_idempotence=True,
            max_request_size=self._kafka.topics.max_message_bytes,
            retry_backoff_ms=self._kafka.retry_backoff_ms,
        )

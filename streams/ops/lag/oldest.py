"""The oldest unread record of each partition, fetched: whether there is one at all, and since when it waits.

One consumer without a group's membership reads one batch of each partition and is told no more. What it found stays
true as long as the group stays where it is, so nothing is fetched twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streams.ops.lag.found import Clock, Ends, Oldest, Point, Slot
from streams.ops.reading.librdkafka import Complaints, client_options
from streams.settings import KafkaSettings, OpsSettings

_CLOCKS: dict[int, Clock] = {TIMESTAMP_CREATE_TIME: "CreateTime", TIMESTAMP_LOG_APPEND_TIME: "LogAppendTime"}
_POLL_SECONDS = 0.02
# Few at once: what is behind the records that are looked for is dropped before it becomes a message.
_MESSAGES = 100
# So many records of a partition are read on for groups that are further; those who are further still take turns.
_AHEAD = 200
_OPTIONS: Mapping[str, str | float] = {
    # It is never joined: partitions are assigned by hand and nothing is committed.
    "group.id": "scenestream-ops",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",
    # A batch of each partition; Kafka sends a whole one, whatever its size.
    "fetch.message.max.bytes": 1024,
    "fetch.wait.max.ms": 10,
    "fetch.queue.backoff.ms": 1,
}


class OldestRecords:
    """What is known of first unread records, and the consumer that finds out about others."""

    def __init__(self, kafka: KafkaSettings, ops: OpsSettings, complaints: Complaints) -> None:
        isolation = {"isolation.level": ops.isolation}
        self._consumer = Consumer(client_options(kafka, complaints, **_OPTIONS, **isolation))
        self._budget_seconds = ops.fetch_seconds
        self._known: dict[Point, Oldest] = {}

    def find(self, wanted: Iterable[Point], ends: Mapping[Slot, Ends | str]) -> Mapping[Point, Oldest]:
        """Return what is at those places; those that time was too short for are left out."""
        asked = set(wanted)
        self._known = {point: one for point, one in self._known.items() if point in asked and _holds(point, one, ends)}
        deadline = time.monotonic() + self._budget_seconds
        # The place that is furthest behind comes last, for it is read first.
        waiting: dict[Slot, list[Point]] = {}
        for point in sorted(asked - self._known.keys(), reverse=True):
            waiting.setdefault(Slot(point.topic, point.partition), []).append(point)
        while waiting and time.monotonic() < deadline:
            self._known |= self._fetch(waiting, deadline)
            waiting = {slot: points for slot, points in waiting.items() if points}
        return {point: one for point, one in self._known.items() if point in asked}

    def close(self) -> None:
        """Let the consumer go."""
        self._consumer.close()

    def _fetch(self, waiting: Mapping[Slot, list[Point]], deadline: float) -> dict[Point, Oldest]:
        """Read each partition from its first place on; take what was found out of `waiting`."""
        left = dict.fromkeys(waiting, _AHEAD)
        found: dict[Point, Oldest] = {}
        try:
            self._consumer.assign([TopicPartition(*points[-1]) for points in waiting.values()])
            while left and time.monotonic() < deadline:
                done = []
                for message in self._consumer.consume(_MESSAGES, _POLL_SECONDS):
                    slot = _slot(message)
                    if slot not in left:
                        continue
                    one, points = _seen(message), waiting[slot]
                    # A record is the first for all places up to it; the end, or an error, is it for all that are left.
                    while points and (one.offset is None or points[-1].offset <= one.offset):
                        found[points.pop()] = one
                    left[slot] -= 1
                    # Who is further than may be read on is found sooner from its own place.
                    if not points or points[-1].offset > (message.offset() or 0) + left[slot]:
                        del left[slot]
                        done.append(TopicPartition(*slot))
                if done:
                    self._consumer.incremental_unassign(done)
            self._consumer.unassign()
        except KafkaException:
            # What is left is asked for again by the next look.
            return found
        return found


def _slot(message: Message) -> Slot:
    partition = message.partition()
    return Slot(message.topic() or "", -1 if partition is None else partition)


def _seen(message: Message) -> Oldest:
    now = datetime.now(UTC)
    error, offset = message.error(), message.offset() or 0
    if error is not None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - that is the constant's name
            return Oldest(now, end=offset)
        return Oldest(now, end=offset, error=error.str())
    kind, milliseconds = message.timestamp()
    clock = _CLOCKS.get(kind)
    # Records of clients that knew no time carry -1, of some that lost theirs 0.
    known = clock is not None and milliseconds > 0
    return Oldest(now, end=offset, offset=offset, timestamp_ms=milliseconds if known else None, clock=clock)


def _holds(point: Point, one: Oldest, ends: Mapping[Slot, Ends | str]) -> bool:
    """Return whether what was found is still so: nothing came to an empty end, nothing was deleted in front."""
    now = ends.get(Slot(point.topic, point.partition))
    if one.error is not None or not isinstance(now, Ends):
        return False
    return now.latest <= one.end if one.offset is None else now.earliest <= one.offset < now.latest

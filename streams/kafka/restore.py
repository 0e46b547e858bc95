"""Restore what is kept of partitions from their topics, to the very end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.kafka.meter import UNMETERED, Meter
from streams.kafka.records import Place, Received, Restored

_log = structlog.get_logger(__name__)
_RECORDS_AT_ONCE = 2000
_WAIT_MS = 20
_SAID_EVERY_SECONDS = 5.0


@dataclass
class Progress:
    """How far a restore has come, counted by offsets: those that compaction has left out count as read."""

    meter: Meter = UNMETERED
    done: dict[Place, int] = field(default_factory=dict)
    ends: dict[Place, int] = field(default_factory=dict)
    records: Counter[Place] = field(default_factory=Counter)
    _said_at_seconds: float = field(default_factory=time.monotonic)

    def told(self) -> Mapping[str, int | float]:
        """Return the partitions that are being restored, offsets read and to be read, and their share."""
        read, whole = sum(self.done.values()), sum(self.ends.values())
        open_places = [place for place, end in self.ends.items() if self.done[place] < end]
        share = round(read / whole, 3) if whole else 1.0
        return {"partitions": len(open_places), "records": read, "of": whole, "share": share}

    def say(self) -> None:
        """Tell how far it is, in the log now and then."""
        self.meter.restoring(sum(self.ends.values()) - sum(self.done.values()))
        if time.monotonic() - self._said_at_seconds >= _SAID_EVERY_SECONDS:
            self._said_at_seconds = time.monotonic()
            _log.info("restoring", **self.told())


async def restore(
    options: Mapping[str, object],
    wanted: Mapping[Place, Restored],
    progress: Progress,
    done: Callable[[Place], None],
) -> None:
    """Read the given partitions into what is kept of them; `done` is told of each that is complete.

    The end is where the consumer's position reaches the end offset: the last offset of a transaction is a marker, which
    is never delivered as a record. It must be called when no transaction of a former owner is open any more, for a
    read_committed consumer sees nothing behind one. A partition that is done is read no further: its owner works, and
    would find its own rows put back over later ones.
    """
    if not wanted:
        return
    reader = AIOKafkaConsumer(
        **options,
        isolation_level="read_committed",
        enable_auto_commit=False,
        # With the default a reset that comes late would skip to the end: rows lost, in silence.
        auto_offset_reset="earliest",
    )
    await reader.start()
    try:
        places = {TopicPartition(*place): place for place in wanted}
        reader.assign(list(places))
        ends = await reader.end_offsets(list(places))
        begins = await reader.beginning_offsets(list(places))
        for partition, begin in begins.items():
            # Seeking by number spares the question where the beginning is.
            reader.seek(partition, begin)
        progress.ends = {place: ends[partition] - begins[partition] for partition, place in places.items()}
        progress.done = dict.fromkeys(wanted, 0)
        while True:
            for partition, place in [*places.items()]:
                position = await reader.position(partition)
                progress.done[place] = position - begins[partition]
                if position >= ends[partition]:
                    del places[partition]
                    reader.pause(partition)
                    done(place)
            progress.say()
            if not places:
                return
            records = await reader.getmany(*places, timeout_ms=_WAIT_MS, max_records=_RECORDS_AT_ONCE)
            for partition, batch in records.items():
                await _beside(wanted[places[partition]].restore, partition.partition, batch)
                progress.records[places[partition]] += len(batch)
    finally:
        await reader.stop()


async def _beside(work: Callable[[int, Sequence[Received]], None], number: int, batch: Sequence[Received]) -> None:
    """Do a processor's work in a thread, for others have their turn meanwhile; it is never left half done."""
    working = asyncio.create_task(asyncio.to_thread(work, number, batch))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise

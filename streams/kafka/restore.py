"""Restore rows from their changelog, to its very end."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.kafka.meter import UNMETERED, Meter
from streams.kafka.records import Place, Restorable

_RECORDS_AT_ONCE = 5000


async def restore(options: Mapping[str, object], wanted: Mapping[Place, Restorable], meter: Meter = UNMETERED) -> int:
    """Read the given changelog partitions into their rows; return how many records there were.

    The end is where the consumer's position reaches the end offset: the last offset of a transaction is a marker, which
    is never delivered as a record. It must be called when no transaction of a former owner is open any more, for a
    read_committed consumer sees nothing behind one.
    """
    if not wanted:
        return 0
    reader = AIOKafkaConsumer(
        **options,
        isolation_level="read_committed",
        enable_auto_commit=False,
        # With the default a reset that comes late would skip to the end: rows lost, in silence.
        auto_offset_reset="earliest",
    )
    await reader.start()
    try:
        partitions = [TopicPartition(*place) for place in wanted]
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
        await reader.seek_to_beginning(*partitions)
        count = 0
        while left := await _left(reader, ends):
            meter.restoring(left)
            records = await reader.getmany(timeout_ms=100, max_records=_RECORDS_AT_ONCE)
            for partition, batch in records.items():
                rows = wanted[Place(*partition)]
                for record in batch:
                    if record.key is not None:
                        rows.restore(record.key, record.value)
                count += len(batch)
        return count
    finally:
        await reader.stop()


async def _left(reader: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> int:
    return sum([max(0, end - await reader.position(partition)) for partition, end in ends.items()])

"""First and next offsets of partitions, each answered by its leader: one that is away costs its partitions alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future

from confluent_kafka import IsolationLevel, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec

from streams.ops.lag.found import Ends, Slot
from streams.ops.reading.librdkafka import is_about_connections, said

_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_SILENT = KafkaError(KafkaError._TIMED_OUT, "its leader did not answer in time")  # noqa: SLF001 - the constant's name
# librdkafka keeps to its own deadline; this one is for a client that died.
_PATIENCE = 2.0
Answers = Mapping[Partition, "Future[ListOffsetsResultInfo]"]


def ends(
    admin: AdminClient, slots: Sequence[Slot], isolation: IsolationLevel, seconds: float
) -> dict[Slot, Ends | str]:
    """Return first and next offsets, or why not; raises KafkaException where no leader answers."""
    # Both are under way together: a leader that is away costs its timeout once, and is asked no more.
    first, last = (_ask(admin, slots, spec, IsolationLevel.READ_UNCOMMITTED, seconds) for spec in (_EARLIEST, _LATEST))
    earliest, high = answered(first, 0, seconds), answered(last, 0, seconds)
    latest = dict(high)
    if isolation is IsolationLevel.READ_COMMITTED:
        # After the end, or what only just came would pass for an open transaction.
        there = [slot for slot in slots if isinstance(high[slot], int)]
        latest |= answered(_ask(admin, there, _LATEST, isolation, seconds), 0, seconds)
    return {slot: _ends(earliest[slot], latest[slot], high[slot]) for slot in slots}


def at_time(admin: AdminClient, slots: Iterable[Slot], milliseconds: int, seconds: float) -> dict[Slot, int | str]:
    """Return the first offsets of that time or later, -1 where there is none, or why not; raises KafkaException."""
    spec = OffsetSpec.for_timestamp(milliseconds)
    return answered(_ask(admin, slots, spec, IsolationLevel.READ_UNCOMMITTED, seconds), -1, seconds)


def answered(answers: Answers, least: int, seconds: float) -> dict[Slot, int | str]:
    """Return the offset of each partition, or why there is none; raises KafkaException where all leaders are silent."""
    found: dict[Slot, int | str] = {}
    silent: list[KafkaException] = []
    for partition, answer in answers.items():
        slot = Slot(partition.topic, partition.partition)
        try:
            found[slot] = _offset(answer, least, seconds)
        except KafkaException as error:
            found[slot] = said(error)
            if is_about_connections(error):
                silent.append(error)
    if silent and len(silent) == len(found):
        raise silent[0]
    return found


def _offset(answer: Future[ListOffsetsResultInfo], least: int, seconds: float) -> int:
    offset = answer.result(seconds * _PATIENCE).offset
    if offset < least:
        # Where a leader's time is over librdkafka 2.16 calls it a success, with an offset that is none.
        raise KafkaException(_SILENT)
    return offset


def _ask(
    admin: AdminClient, slots: Iterable[Slot], spec: OffsetSpec, isolation: IsolationLevel, seconds: float
) -> Answers:
    specs = {Partition(*slot): spec for slot in slots}
    if not specs:
        return {}
    return admin.list_offsets(specs, isolation_level=isolation, request_timeout=seconds)


def _ends(earliest: int | str, latest: int | str, high: int | str) -> Ends | str:
    if isinstance(earliest, str):
        return earliest
    if isinstance(latest, str):
        return latest
    if isinstance(high, str):
        return high
    # What may be read may have grown past the end that was told a moment before.
    return Ends(earliest, latest, max(latest, high))

"""Reading topics without a group: what is assigned by hand, and ranges of offsets read to their ends."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.kafka.records import Headers, Place
from streams.ops.reading.leaders import LeadersAway, leaders_of, silent_leaders, told_of
from streams.ops.reading.librdkafka import Complaints, client_options, denied, is_denied, unread
from streams.ops.reading.seen import Record
from streams.settings import KafkaSettings

_MESSAGES = 500
_POLL_SECONDS = 0.2
_NO_CALENDAR_MS = 253_402_300_800_000


def reader(kafka: KafkaSettings, complaints: Complaints, **more: str | float) -> Consumer:
    """Return a consumer of committed records that joins no group and commits nothing."""
    options: Mapping[str, Any] = {
        "group.id": "scenestream-ops",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        # Bounds on what waits in the client, whatever the topics hold.
        "queued.max.messages.kbytes": 16384,
        "fetch.message.max.bytes": 262144,
        "fetch.wait.max.ms": kafka.fetch_wait_ms,
    }
    return Consumer(client_options(kafka, complaints, **{**options, **more}))


def denied_topics(
    consumer: Consumer, names: Mapping[str, str], there: Iterable[Place], timeout_seconds: float
) -> dict[str, str]:
    """Return what is to be told of topics that are not there because they may not be described; KafkaException."""
    told = {}
    for name in names.keys() - {place.topic for place in there}:
        # Asked for all, Kafka is silent on these; asked for one, it says so.
        error = consumer.list_topics(name, timeout=timeout_seconds).topics[name].error
        if error is not None and is_denied(error):
            told[name] = denied(name, "Describe")
    return told


def offsets_at(
    consumer: Consumer, places: Sequence[Place], at: float, timeout_seconds: float
) -> dict[Place, int | None]:
    """Return each partition's first offset of `at` or later, None where all are older; raises KafkaException."""
    asked = [TopicPartition(place.topic, place.partition, round(at * 1000)) for place in places]
    found = consumer.offsets_for_times(asked, timeout=timeout_seconds) if asked else []
    for one in found:
        if one.error is not None:
            # Its offset says nothing, and would pass for "all are older".
            raise KafkaException(one.error)
    return {Place(one.topic, one.partition): None if one.offset in {-1, OFFSET_END} else one.offset for one in found}


def record_of(message: Message, names: Mapping[str, str]) -> Record:
    """Return a message as a record under its topic's name on the map."""
    _, milliseconds = message.timestamp()
    topic = message.topic() or ""
    return Record(
        topic=names.get(topic, topic),
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        # Clients that know no time write -1, and any client may write one that no calendar has.
        at=milliseconds / 1000 if 0 < milliseconds < _NO_CALENDAR_MS else None,
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=_headers(message),
    )


def at_end(message: Message) -> bool:
    """Return whether this is no record but the news that a partition was read to its end."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - that is the constant's name


def read_ranges(
    consumer: Consumer,
    ranges: Mapping[Place, tuple[int, int]],
    names: Mapping[str, str],
    timeout_seconds: float,
    refused: dict[str, str] | None = None,
) -> Iterator[Record | None]:
    """Yield the records of each partition from its first offset to before its second, and None after each poll.

    The last offsets of a range may be markers, which are never delivered: what comes behind them ends it, or its end.
    Where nothing comes for so long, Kafka is asked whether it is there: KafkaException where it is not, LeadersAway
    where those who lead the rest are not. With `refused` topics that may not be read, and such partitions, are left out
    and told of in it; without it the former are a KafkaException too.
    """
    ends = {place: end for place, (start, end) in ranges.items() if start < end}
    if not ends:
        return
    consumer.assign([TopicPartition(*place, ranges[place][0]) for place in ends])
    try:
        heard = time.monotonic()
        while ends:
            done: list[Place] = []
            messages = consumer.consume(_MESSAGES, _POLL_SECONDS)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > timeout_seconds:
                done += _silent(consumer, ends, names, timeout_seconds, refused)
                heard = time.monotonic()
            for message in messages:
                place = Place(message.topic() or "", message.partition() or 0)
                if place not in ends:
                    continue
                if at_end(message) or (message.error() is None and (message.offset() or 0) >= ends[place]):
                    del ends[place]
                    done.append(place)
                elif (error := message.error()) is not None:
                    _note(error, place, refused)
                    del ends[place]
                    done.append(place)
                else:
                    yield record_of(message, names)
            if done:
                consumer.incremental_unassign([TopicPartition(*place) for place in done])
            yield None
    finally:
        consumer.unassign()


def _silent(
    consumer: Consumer,
    ends: dict[Place, int],
    names: Mapping[str, str],
    timeout_seconds: float,
    refused: dict[str, str] | None,
) -> list[Place]:
    """Take out of `ends` the partitions whose leaders do not answer, and return them."""
    found = leaders_of(consumer, names, timeout_seconds)
    leaders = {place: found.get(place, -1) for place in ends}
    silent = silent_leaders(consumer, leaders, timeout_seconds)
    away = {place: silent[leader] for place, leader in leaders.items() if leader in silent}
    if refused is not None:
        refused |= {told: told for told in told_of(away)}
    elif away:
        raise LeadersAway(away)
    for place in away:
        del ends[place]
    return [*away]


def _note(error: KafkaError, place: Place, refused: dict[str, str] | None) -> None:
    if refused is None or not is_denied(error):
        raise KafkaException(error)
    refused[place.topic] = unread(place, error)


def _headers(message: Message) -> Headers:
    try:
        headers = message.headers() or []
        items = headers.items() if isinstance(headers, dict) else headers
        return tuple((name, _bytes(value)) for name, value in items)
    except UnicodeDecodeError:
        # A name that is no UTF-8: confluent-kafka shows none of them then. The body decides.
        return ()


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value

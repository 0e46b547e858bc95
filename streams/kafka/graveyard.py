"""Dead topics read from end to end, and letters sent back from them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.kafka.clients import client_options, connected, partitions_of
from streams.kafka.dead_letters import Letter, marked, read_letter, send_back
from streams.kafka.records import Outgoing, Received
from streams.settings import KafkaSettings

_LETTERS_IN_A_TRANSACTION = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters: of which dead topics, failed since when, for which reason, so many at most."""

    topics: tuple[str, ...]
    since: datetime | None = None
    reason: str | None = None
    most: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Return whether a letter is meant."""
        late = self.since is None or letter.failure.failed_at >= self.since
        return late and self.reason in {None, letter.failure.exception}


async def letters(kafka: KafkaSettings, choice: Choice) -> AsyncGenerator[Letter]:
    """Yield the chosen letters that were not sent back, those of a partition oldest first."""
    places = await partitions_of(kafka, choice.topics)
    if not places:
        return
    async with connected(_reader(kafka), kafka) as reader:
        ends: dict[TopicPartition, int] = await reader.end_offsets(places)
        starts: dict[TopicPartition, int] = await reader.beginning_offsets(places)
        sent_back: set[tuple[TopicPartition, int]] = set()
        # Marks lie behind their letters: only when all were seen is it known which letters are open.
        async for record in _read(reader, ends, starts):
            offset = marked(record)
            if offset is not None:
                sent_back.add((TopicPartition(record.topic, record.partition), offset))
        found = 0
        async for record in _read(reader, ends, starts):
            if choice.most is not None and found >= choice.most:
                return
            if marked(record) is not None:
                continue
            letter = read_letter(record)
            if (TopicPartition(*letter.place), letter.offset) not in sent_back and choice.takes(letter):
                found += 1
                yield letter


async def letter_at(kafka: KafkaSettings, topic: str, partition: int, offset: int) -> Letter | None:
    """Return the letter at a place of a dead topic; None where there is none."""
    place = TopicPartition(topic, partition)
    if place not in await partitions_of(kafka, (topic,)):
        return None
    async with connected(_reader(kafka), kafka) as reader:
        ends: dict[TopicPartition, int] = await reader.end_offsets([place])
        if offset >= ends[place]:
            return None
        async for record in _read(reader, ends, {place: offset}):
            return read_letter(record) if record.offset == offset and marked(record) is None else None
    return None


async def redrive(kafka: KafkaSettings, chosen: Sequence[Letter]) -> None:
    """Send letters back to where they came from, each together with its mark; all of a hundred or none."""
    producer = AIOKafkaProducer(
        **client_options(kafka),
        transactional_id=f"{kafka.group}-redrive",
        max_request_size=kafka.max_request_bytes,
        retry_backoff_ms=kafka.retry_backoff_ms,
    )
    async with connected(producer, kafka):
        for start in range(0, len(chosen), _LETTERS_IN_A_TRANSACTION):
            async with producer.transaction():
                for letter in chosen[start : start + _LETTERS_IN_A_TRANSACTION]:
                    for record in send_back(letter):
                        await _send(producer, record)


async def _send(producer: AIOKafkaProducer, record: Outgoing) -> None:
    await producer.send(
        record.topic, record.value, key=record.key, headers=list(record.headers), partition=record.partition
    )


def _reader(kafka: KafkaSettings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **client_options(kafka),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )


async def _read(
    reader: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], starts: Mapping[TopicPartition, int]
) -> AsyncIterator[Received]:
    open_ones = [place for place, end in ends.items() if starts[place] < end]
    if not open_ones:
        return
    reader.assign(open_ones)
    for place in open_ones:
        reader.seek(place, starts[place])
    # By position: the last offset may be a transaction's marker, which is never delivered.
    while any([await reader.position(place) < ends[place] for place in open_ones]):
        for place, records in (await reader.getmany(timeout_ms=200)).items():
            for record in records:
                if record.offset < ends[place]:
                    yield record

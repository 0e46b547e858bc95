"""Dead topics read from end to end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.kafka.clients import client_options, connected, hidden, partitions_of
from streams.kafka.dead_letters import Letter, marked, read_letter
from streams.kafka.records import Received
from streams.settings import KafkaSettings

# What a look at the dead topics keeps at most, so that it reads them once; and what a letter takes beside its bytes.
_ROOM_BYTES = 32 * 2**20
_OVERHEAD_BYTES = 2000


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
    """Yield the chosen letters that were not sent back, those of a partition oldest first.

    Raises BrokerAway where Kafka is, or where it hides one of the topics from this user, TopicAuthorizationFailedError
    where one may not be read.
    """
    places = await partitions_of(kafka, choice.topics)
    unseen = await hidden(kafka, choice.topics, places)
    if unseen is not None:
        raise unseen
    if not places:
        return
    async with connected(_reader(kafka), kafka) as reader:
        ends: dict[TopicPartition, int] = await reader.end_offsets(places)
        starts: dict[TopicPartition, int] = await reader.beginning_offsets(places)
        waiting = Waiting(choice)
        async for record in _read(reader, ends, starts):
            waiting.take(record)
        found = 0
        for letter in waiting.letters.values():
            if choice.most is not None and found >= choice.most:
                return
            found += 1
            yield letter
        if not waiting.full:
            return
        async for record in _read(reader, ends, starts | waiting.read):
            if choice.most is not None and found >= choice.most:
                return
            beyond = waiting.beyond(record)
            if beyond is not None:
                found += 1
                yield beyond


class Waiting:
    """Letters of a first reading, less those sent back: marks lie behind them, so its end tells which are open.

    There is room for some megabytes; what comes when it is full is read a second time, when all marks are known.
    """

    def __init__(self, choice: Choice, room_bytes: int = _ROOM_BYTES) -> None:
        self.letters: dict[tuple[TopicPartition, int], Letter] = {}
        self.full = False
        # Up to where each partition was read when it was full.
        self.read: dict[TopicPartition, int] = {}
        self._choice = choice
        self._sent_back: set[tuple[TopicPartition, int]] = set()
        self._room = room_bytes

    def take(self, record: Received) -> None:
        """Take the next record of the first reading."""
        place, offset = TopicPartition(record.topic, record.partition), marked(record)
        if offset is not None:
            letter = self.letters.pop((place, offset), None)
            if letter is None:
                self._sent_back.add((place, offset))
            else:
                self._room += _size(letter)
            return
        if self.full:
            return
        letter = self._chosen(record)
        size = 0 if letter is None else _size(letter)
        self.full = size > self._room
        if self.full:
            return
        self.read[place] = record.offset + 1
        if letter is not None:
            self.letters[place, record.offset] = letter
            self._room -= size

    def beyond(self, record: Received) -> Letter | None:
        """Return the letter of a second reading, if it is one that was chosen and not sent back."""
        if (
            marked(record) is not None
            or (TopicPartition(record.topic, record.partition), record.offset) in self._sent_back
        ):
            return None
        return self._chosen(record)

    def _chosen(self, record: Received) -> Letter | None:
        letter = read_letter(record)
        return letter if self._choice.takes(letter) else None


def _size(letter: Letter) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in letter.headers)
    return len(letter.value or b"") + len(letter.key or b"") + headers + len(letter.failure.message) + _OVERHEAD_BYTES


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

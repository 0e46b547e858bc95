"""A dialogue looked for on its topics, from the newest records backwards, for as long as one may."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Literal

from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, KafkaException

from schemas import topics
from streams.kafka.records import Place
from streams.ops.follow.dialogue import Dialogue, ScanProgress
from streams.ops.follow.recent import MOST_STEPS, dialogue_id, follow
from streams.ops.reading.leaders import ends_by_leader, leaders_of, told_of
from streams.ops.reading.librdkafka import Complaints, broker_away
from streams.ops.reading.ranges import denied_topics, read_ranges, reader
from streams.ops.reading.seen import FOLLOWED, Record, read
from streams.settings import KafkaSettings, OpsSettings
from streams.stages.policy import Gate

_CHUNK = 5000
Why = Literal["time is up", "enough found", "stopped", "broker away"]


def scan(
    kafka: KafkaSettings,
    ops: OpsSettings,
    gate: Gate,
    *,
    dialogue: str | None = None,
    user: str | None = None,
    texts: bool = False,
) -> Iterator[ScanProgress | Dialogue]:
    """Yield how far it is, and in the end the dialogue, or all dialogues of a user; raises BrokerAway at first.

    A key's records lie in one partition. The one that Kafka's own hash names is looked at first; where nothing is
    found, the sender hashes in another way, or the dialogue goes by a user's key, and the others follow.
    """
    complaints = Complaints()
    consumer = reader(kafka, complaints)
    try:
        search = _Search(consumer, kafka, ops, dialogue, user)
        yield from search.run()
        told = tuple(sorted(search.refused.values()))
        found = follow(search.found, dialogue, gate, texts=texts, whole=search.ended_early is None and not told)
        yield found.model_copy(update={"refused": told})
    except KafkaException as error:
        raise broker_away(kafka, complaints, error) from error
    finally:
        consumer.close()


class _Search:
    def __init__(
        self, consumer: Consumer, kafka: KafkaSettings, ops: OpsSettings, dialogue: str | None, user: str | None
    ) -> None:
        self.found: list[Record] = []
        self.ended_early: Why | None = None
        # What is to be told of topics that may not be read, and of partitions whose leader is away.
        self.refused: dict[str, str] = {}
        self._consumer = consumer
        self._names = {kafka.topic(name): name for name in FOLLOWED}
        self._timeout = ops.timeout_seconds
        self._deadline = time.monotonic() + ops.scan_seconds
        self._dialogue = dialogue
        self._key = None if user is None else user.encode()
        self._records = 0
        self._read = 0
        self._total = 0

    def run(self) -> Iterator[ScanProgress]:
        places = leaders_of(self._consumer, self._names, self._timeout)
        self.refused = denied_topics(self._consumer, self._names, places, self._timeout)
        ends, away = ends_by_leader(self._consumer, places, self._timeout)
        if away and not ends:
            raise next(iter(away.values()))
        self.refused |= {told: told for told in told_of(away)}
        count = sum(self._names[place.topic] == topics.SCENES for place in places)
        likely = self._key or (self._dialogue or "").encode()
        first = (murmur2(likely) & 0x7FFFFFFF) % count if count else 0
        numbers = sorted({place.partition for place in ends}, key=lambda number: (number != first, number))
        if self._key is None:
            # Who speaks in it is on its scenes; all else is found by that key.
            scenes = {place: end for place, end in ends.items() if self._names[place.topic] == topics.SCENES}
            for number in numbers:
                yield from self._backwards({p: e for p, e in scenes.items() if p.partition == number}, learn=True)
                if self._key is not None:
                    first = number
                    break
            if self._key is None:
                yield self._progress(done=True)
                return
        for number in sorted(numbers, key=lambda one: (one != first, one)):
            yield from self._backwards({p: e for p, e in ends.items() if p.partition == number}, learn=False)
            if self.found or self.ended_early:
                break
        yield self._progress(done=True)

    def _backwards(self, ends: Mapping[Place, tuple[int, int]], *, learn: bool) -> Iterator[ScanProgress]:
        """Read partitions in pieces, the newest first."""
        left = {place: end for place, (start, end) in ends.items() if start < end}
        self._read, self._total = 0, sum(end - start for start, end in ends.values())
        while left and self.ended_early is None:
            ranges = {place: (max(ends[place][0], end - _CHUNK), end) for place, end in left.items()}
            piece: list[Record] = []
            for record in read_ranges(self._consumer, ranges, self._names, self._timeout, self.refused):
                if time.monotonic() > self._deadline:
                    self.ended_early = "time is up"
                    break
                if record is None:
                    yield self._progress(done=False)
                    continue
                self._records += 1
                if learn and self._learnt(record):
                    return
                if not learn and record.key == self._key and self._is_meant(record):
                    piece.append(record)
            self.found = [*piece, *self.found]
            self._read += sum(end - start for start, end in ranges.values())
            left = {place: start for place, (start, _) in ranges.items() if start > ends[place][0]}
            if left and len(self.found) >= MOST_STEPS:
                self.ended_early = "enough found"
            yield self._progress(done=False)

    def _learnt(self, record: Record) -> bool:
        assert self._dialogue is not None  # noqa: S101 - else its key is known
        if self._dialogue.encode() in (record.value or b"") and dialogue_id(record, read(record)) == self._dialogue:
            self._key = record.key
        return self._key is not None

    def _is_meant(self, record: Record) -> bool:
        if self._dialogue is None:
            return True
        found = dialogue_id(record, read(record))
        # Rows are of a key, not of a dialogue: those that feedback of this one left are told apart later.
        return found is None or found == self._dialogue

    def _progress(self, *, done: bool) -> ScanProgress:
        share = 1.0 if done and self.ended_early is None else self._read / self._total if self._total else 0.0
        return ScanProgress(
            share=min(1.0, share), records=self._records, found=len(self.found), done=done, ended_early=self.ended_early
        )

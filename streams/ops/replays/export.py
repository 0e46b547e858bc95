"""A time range of the live pipeline as a log that `scenestream replay` reads: its scenes and feedback, by time."""

from __future__ import annotations

import gzip
import heapq
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from confluent_kafka import Consumer, KafkaException

from schemas import topics
from streams.kafka.clients import BrokerAway
from streams.kafka.records import Place
from streams.kafka.topics_admin import TopicError
from streams.ops.reading.leaders import LeadersAway, ends_by_leader, leaders_of
from streams.ops.reading.librdkafka import Complaints, broker_away
from streams.ops.reading.ranges import offsets_at, read_ranges, reader
from streams.ops.reading.seen import LARGEST_BYTES, Record, said_by
from streams.replay.run_dir import told_where
from streams.settings import KafkaSettings, OpsSettings

_SORTED_BYTES = 64 * 2**20
_DIGITS = 19


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: fresh scenes and feedback; `left_out` are healed scenes, and what is no event of ours."""

    scenes: int
    feedback: int
    left_out: int


def export(
    kafka: KafkaSettings,
    ops: OpsSettings,
    since: datetime,
    until: datetime,
    out: Path,
    progress: Callable[[float], bool] = lambda _: True,
) -> Exported:
    """Write the committed records of `scenes` and `feedback` from `since` to before `until`; gzip where `out` ends so.

    `progress` hears the share that is read, 0..1, and returns whether to go on; told to stop, nothing is written.
    A record counts by its timestamp, a partition from its first record at or after `since` to the first at or after
    `until`. Raises BrokerAway, TopicError and RunDirError. Where the leader of a partition is away nothing is written:
    whoever replays a log takes it for whole.
    """
    complaints = Complaints()
    consumer = reader(kafka, complaints)
    try:
        ranges = _ranges(consumer, kafka, ops.timeout_seconds, since, until)
        total = sum(max(0, stop - start) for start, stop in ranges.values())
        with ExitStack() as files, told_where(out):
            spool = _Spool(files)
            for number, record in enumerate(read_ranges(consumer, ranges, _names(kafka), ops.timeout_seconds)):
                if record is not None:
                    spool.take(record)
                elif not progress(min(1.0, number / total) if total else 1.0):
                    return Exported(0, 0, 0)
            _write(out, spool.lines())
        progress(1.0)
        return Exported(spool.scenes, spool.feedback, spool.left_out)
    except LeadersAway as error:
        raise BrokerAway(
            f"Kafka answers at {kafka.bootstrap_servers}, but not those who lead some partitions: {error}; nothing was "
            "written, for whoever replays a log takes it for whole. Export again when their leaders are back"
        ) from error
    except KafkaException as error:
        raise broker_away(kafka, complaints, error) from error
    finally:
        consumer.close()


def _names(kafka: KafkaSettings) -> Mapping[str, str]:
    return {kafka.topic(name): name for name in (topics.SCENES, topics.FEEDBACK)}


def _ranges(
    consumer: Consumer, kafka: KafkaSettings, timeout_seconds: float, since: datetime, until: datetime
) -> dict[Place, tuple[int, int]]:
    """Return from where to where each partition is read; raises TopicError, LeadersAway and KafkaException."""
    leaders = leaders_of(consumer, _names(kafka), timeout_seconds)
    if not leaders:
        raise TopicError(f"no topic {kafka.topic(topics.SCENES)}; `scenestream topics create` makes it")
    # The ends first: what comes later may come after `until`.
    marks, away = ends_by_leader(consumer, leaders, timeout_seconds)
    if away:
        raise LeadersAway(away)
    starts = offsets_at(consumer, list(marks), since.timestamp(), timeout_seconds)
    stops = offsets_at(consumer, list(marks), until.timestamp(), timeout_seconds)
    ranges: dict[Place, tuple[int, int]] = {}
    for place, (_, end) in marks.items():
        start, stop = starts.get(place), stops.get(place)
        ranges[place] = (end if start is None else start, end if stop is None else stop)
    return ranges


class _Spool:
    """Lines sorted by time in pieces on disk, for a range may hold more than memory."""

    def __init__(self, files: ExitStack) -> None:
        self.scenes = self.feedback = self.left_out = 0
        self._files = files
        self._pieces: list[IO[bytes]] = []
        self._lines: list[bytes] = []
        self._bytes = 0
        self._latest: dict[Place, int] = {}

    def take(self, record: Record) -> None:
        line = _line(record)
        if line is None:
            self.left_out += 1
            return
        self.scenes += record.topic == topics.SCENES
        self.feedback += record.topic == topics.FEEDBACK
        # A partition keeps its order, whatever the clocks of its senders; scenes before feedback of the same moment.
        place = Place(record.topic, record.partition)
        moment = self._latest[place] = max(self._latest.get(place, 0), record.timestamp)
        after = int(record.topic == topics.FEEDBACK)
        order = (f"{moment:0{_DIGITS}d}", str(after), f"{record.partition:09d}", f"{record.offset:0{_DIGITS}d}")
        self._lines.append("".join(order).encode() + line)
        self._bytes += len(line) + 100
        if self._bytes > _SORTED_BYTES:
            self._put_aside()

    def lines(self) -> Iterator[bytes]:
        width = _DIGITS * 2 + 10
        self._lines.sort()
        for piece in self._pieces:
            piece.seek(0)
        for line in heapq.merge(*self._pieces, self._lines):
            yield line[width:]

    def _put_aside(self) -> None:
        self._lines.sort()
        piece: IO[bytes] = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        piece.writelines(self._lines)
        self._pieces.append(piece)
        self._lines, self._bytes = [], 0


def _line(record: Record) -> bytes | None:
    """Return an event as a line of a log; None for what no log may hold."""
    if len(record.value or b"") > LARGEST_BYTES:
        return None
    said = said_by(record.value)
    if "dialogue_id" not in said or (record.topic == topics.SCENES and not _is_fresh(said)):
        return None
    with suppress(ValueError):
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    return None


def _is_fresh(said: Mapping[str, object]) -> bool:
    return said.get("attempt", 0) == 0 and said.get("origin", "fresh") == "fresh" and not said.get("lineage")


def _write(out: Path, lines: Iterable[bytes]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("wb") as raw:
            if out.suffix == ".gz":
                with gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed:
                    packed.writelines(lines)
            else:
                raw.writelines(lines)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)

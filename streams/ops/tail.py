"""The tail: a thread that follows the pipeline's topics and folds them into a pulse and into the latest records."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas import topics
from streams.kafka.records import Place
from streams.ops.clock import WallClock
from streams.ops.follow.dialogue import Dialogue
from streams.ops.follow.recent import Recent, follow
from streams.ops.pulse.fold import Bounds, PulseFold
from streams.ops.pulse.pulse import Pulse, TailState
from streams.ops.pulse.view import view
from streams.ops.pulse.windows import time_of
from streams.ops.reading.leaders import ends_by_leader, leaders_of, silent_leaders
from streams.ops.reading.librdkafka import Complaints, broker_away
from streams.ops.reading.obstacles import Obstacles
from streams.ops.reading.ranges import at_end, denied_topics, offsets_at, reader, record_of
from streams.ops.reading.seen import FOLLOWED, Record, Said, read
from streams.settings import KafkaSettings, OpsSettings
from streams.stages.policy import Gate

_log = structlog.get_logger(__name__)
_MESSAGES = 500
_POLL_SECONDS = 0.2
_CHECK_SECONDS = 2.0
_REFRESH_SECONDS = 10.0
_BUCKETS = 180
# Rows of users who said nothing lately are worth a look: so many records before the window, of each partition.
_ROWS_BEFORE = 5000


class Tail:
    """Follows the topics from `ops.pulse_minutes` ago, without a group; where Kafka is away what it knows stands.

    `salt` masks ids. All that it is asked is answered from memory, from any thread.
    """

    def __init__(
        self, kafka: KafkaSettings, gate: Gate, ops: OpsSettings, salt: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self._kafka = kafka
        self._gate = gate
        self._ops = ops
        self._salt = salt
        self._clock = clock
        self._wall = WallClock(clock(), time.monotonic())
        self._names = {kafka.topic(name): name for name in FOLLOWED}
        self._complaints = Complaints()
        self._fold, self._recent = self._empty()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tail", daemon=True)
        self._ends: dict[Place, int] = {}
        self._positions: dict[Place, int] = {}
        self._records = 0
        self._read_at: float | None = None
        self._last_at: float | None = None
        self._error: str | None = None
        self._obstacles = Obstacles()
        self._failing_since: float | None = None

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def pulse(self, over_seconds: float | None = None) -> Pulse:
        """Return the pulse over the last so many seconds, all that is followed by default.

        While Kafka is away it is that of the last record read: shown as of then, not as a pipeline that stands still.
        """
        with self._lock:
            if self._error is None:
                self._fold.advance(self._clock())
            return view(self._fold, self._salt, over_seconds)

    def recent(self, *, dialogue: str | None = None, user: str | None = None, texts: bool = False) -> Dialogue:
        """Return what the latest records hold of a dialogue or of a user."""
        with self._lock:
            records, whole = self._recent.records(dialogue, user), not self._recent.let_go
        return follow(records, dialogue, self._gate, texts=texts, whole=whole)

    def latest(self, most: int) -> list[tuple[str, int, float | None]]:
        """Return the dialogues that were heard of last: id, records kept, and when, epoch seconds."""
        with self._lock:
            return self._recent.latest(most)

    def state(self) -> TailState:
        """Return how far it has read."""
        with self._lock:
            behind = [
                max(0, end - self._positions.get(place, 0))
                for place, end in self._ends.items()
                if not self._obstacles.hide(place)
            ]
            caught_up = bool(self._ends) and not sum(behind)
            behind_seconds = 0.0 if caught_up else None
            if not caught_up and self._last_at is not None:
                behind_seconds = round(max(0.0, self._clock() - self._last_at), 3)
            return TailState(
                read_at=time_of(self._read_at),
                behind_records=sum(behind) if self._ends else None,
                behind_seconds=behind_seconds,
                caught_up=caught_up and self._error is None,
                partitions=len(self._ends),
                records=self._records,
                error=self._error,
                refused=self._obstacles.told(),
                failing_since=time_of(self._failing_since),
            )

    def _run(self) -> None:
        consumer = reader(self._kafka, self._complaints)
        checked = refreshed = -_REFRESH_SECONDS
        try:
            while not self._ending.is_set():
                now = time.monotonic()
                if self._wall.was_set(self._clock(), now):
                    self._begin_again(consumer)
                    refreshed = -_REFRESH_SECONDS
                if now - refreshed >= _REFRESH_SECONDS or (self._error is not None and now - checked >= _CHECK_SECONDS):
                    checked = time.monotonic()
                    refreshed = checked if self._refresh(consumer) else refreshed
                elif now - checked >= _CHECK_SECONDS:
                    checked = time.monotonic() if self._check(consumer) else -_REFRESH_SECONDS
                self._follow(consumer)
        except Exception as error:  # noqa: BLE001 - a thread that ends without a word would show old figures as new
            _log.exception("tail_ended")
            self._fail(f"the dashboard stopped reading: {error!r}; start it again")
        finally:
            consumer.close()

    def _empty(self) -> tuple[PulseFold, Recent]:
        bounds = Bounds(window_seconds=self._ops.pulse_minutes * 60, buckets=_BUCKETS)
        return PulseFold(self._gate, bounds, self._clock()), Recent(self._ops.recent_megabytes * 2**20)

    def _begin_again(self, consumer: Consumer) -> None:
        """Read the window anew: the clock was set, and what is within it now is not what was counted."""
        _log.warning("clock_was_set")
        consumer.unassign()
        with self._lock:
            self._fold, self._recent = self._empty()
            self._ends, self._positions = {}, {}
            self._obstacles.forget()
            self._records = 0

    def _refresh(self, consumer: Consumer) -> bool:
        """Follow partitions that are new, and look which cannot be read; return whether Kafka answered."""
        timeout = self._ops.timeout_seconds
        try:
            places = leaders_of(consumer, self._names, timeout)
            told = denied_topics(consumer, self._names, places, timeout)
            followed = {place: leader for place, leader in places.items() if place in self._ends}
            # Nobody says so of a partition that is read.
            silent = silent_leaders(consumer, followed, timeout)
            away = {place: silent[leader] for place, leader in places.items() if leader in silent}
            new = {place: leader for place, leader in places.items() if place not in self._ends and place not in away}
            if new:
                # They follow when their leader is back.
                away |= self._assign(consumer, new, timeout)
        except KafkaException as error:
            self._fail(str(broker_away(self._kafka, self._complaints, error)))
            return False
        with self._lock:
            self._obstacles.found(told, away)
        if not places and not told:
            self._fail(f"no topic {self._kafka.topic(topics.SCENES)}; `scenestream topics create` makes it")
            return True
        with self._lock:
            count = sum(self._names[place.topic] == topics.SCENES for place in places)
            self._fold.partitions = count
        self._recover()
        return True

    def _assign(self, consumer: Consumer, new: Mapping[Place, int], timeout: float) -> dict[Place, KafkaException]:
        """Follow these; return those whose leader is away."""
        # The ends first: what comes after them is read, also where no record was young enough when that was asked.
        marks, away = ends_by_leader(consumer, new, timeout)
        if not marks and not self._ends:
            raise next(iter(away.values()))
        starts = offsets_at(consumer, list(marks), self._clock() - self._ops.pulse_minutes * 60, timeout)
        assigned: dict[Place, int] = {}
        ends: dict[Place, int] = {}
        for place, (first, end) in marks.items():
            found = starts.get(place)
            start = end if found is None else found
            if self._names[place.topic] == topics.SENSITIVITY:
                start = min(start, max(first, end - _ROWS_BEFORE))
            assigned[place], ends[place] = start, end
        consumer.incremental_assign([TopicPartition(*place, start) for place, start in assigned.items()])
        with self._lock:
            self._ends |= ends
            self._positions |= assigned
        return away

    def _check(self, consumer: Consumer) -> bool:
        """Return whether Kafka answers: a consumer that gets nothing does not say so."""
        try:
            consumer.list_topics(self._kafka.topic(topics.SCENES), timeout=self._ops.timeout_seconds)
        except KafkaException as error:
            self._fail(str(broker_away(self._kafka, self._complaints, error)))
            return False
        if self._ends:
            self._recover()
        return True

    def _follow(self, consumer: Consumer) -> None:
        if not self._ends:
            self._ending.wait(_POLL_SECONDS)
            return
        messages = consumer.consume(_MESSAGES, _POLL_SECONDS)
        ends = {}
        for place in {Place(message.topic() or "", message.partition() or 0) for message in messages}:
            marks = consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if marks is not None and marks[1] >= 0:
                ends[place] = marks[1]
        with self._lock:
            self._ends |= ends
            if self._error is None:
                self._fold.advance(self._clock())
                self._read_at = self._clock()
            for message in messages:
                place = Place(message.topic() or "", message.partition() or 0)
                offset = message.offset() or 0
                fault = message.error()
                self._obstacles.heard(place, None if at_end(message) else fault)
                if at_end(message):
                    # Markers are never delivered: only this tells that nothing is left behind them.
                    self._positions[place] = max(self._positions.get(place, 0), offset)
                elif fault is None:
                    record = record_of(message, self._names)
                    said = self._read(record)
                    self._fold.take(record, said)
                    self._recent.take(record, said)
                    self._records += 1
                    self._positions[place] = offset + 1
                    self._last_at = self._last_at if record.at is None else record.at

    def _read(self, record: Record) -> Said | None:
        try:
            return read(record)
        except Exception:  # noqa: BLE001 - one record must not blind the dashboard for as long as the window is
            _log.exception("record_not_read", topic=record.topic, partition=record.partition, offset=record.offset)
            return None

    def _fail(self, error: str) -> None:
        with self._lock:
            news = self._error is None
            self._failing_since = self._clock() if news else self._failing_since
            self._error = error
        if news:
            _log.warning("tail_cannot_read", error=error)

    def _recover(self) -> None:
        with self._lock:
            if self._error is not None:
                _log.info("tail_reads_again")
            self._error = self._failing_since = None

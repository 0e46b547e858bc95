"""At least once, whatever crashes: rows count every event once, and outputs come again only under the same ids."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from builders import feedback, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import topics
from schemas.feedback import Feedback
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka import wire
from streams.kafka.dead_letters import Failure, bury
from streams.kafka.records import Handler, Headers, Outgoing, Received
from streams.runtimes import applied
from streams.runtimes.placing import Placing
from streams.runtimes.worker_agents import Resonance, Threshold, bridger, regenerator
from streams.runtimes.worker_desk import Desk
from streams.runtimes.worker_rows import TableRows
from streams.settings import Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from fake_scorer import FakeScorer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Settings().policy()
READ = (topics.SCENES, topics.REGENERATE, topics.ANALOGUE, topics.FEEDBACK)
USERS, ROUNDS = 4, 6


@dataclass
class Record:
    topic: str
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int = 0
    partition: int = 0


class Crash(Exception):  # noqa: N818 - what happened, not that it is an error
    """The worker is gone."""


@dataclass
class Kafka:
    """One partition of each topic; `rng` says where a worker crashes, None that it never does."""

    rng: random.Random | None
    logs: dict[str, list[Received]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    crashes: int = 0

    def send(self, records: Sequence[Outgoing]) -> None:
        """Send these, or the first of them and crash."""
        sent = records
        if self.rng is not None and self.rng.random() < 0.12:
            sent = records[: self.rng.randint(0, len(records))]
            self.crashes += 1
        for one in sent:
            log = self.logs[one.topic]
            log.append(cast("Received", Record(one.topic, len(log), one.key, one.value, one.headers, len(log))))
        if sent is not records:
            raise Crash


class Worker:
    """The agents over rows that were restored from the log; a batch ends as a PlainOutbox ends it."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._scorer = FakeScorer()
        self.rows = TableRows(topics.SENSITIVITY, positions=True)
        self.rows.restore(0, kafka.logs[topics.SENSITIVITY])
        desk = Desk(
            scorer=self._scorer,
            encoder=cast("Any", None),
            models=cast("Any", None),
            policy=POLICY,
            rows=self.rows,
            name=str,
            stamp="0" * 64,
            bury=lambda record, stage, error: bury(record, Failure("g", stage, repr(error), "", NOW)),
            largest_bytes=2**20,
            placing=Placing(4),
        )
        handlers: Sequence[Handler[Any]] = (Resonance(desk), Threshold(desk), regenerator(desk), bridger(desk))
        self._handlers = {handler.topic: handler for handler in handlers}

    def drain(self, topic: str, most: int) -> None:
        """Handle what is on a topic, `most` records at a time."""
        log, committed = self._kafka.logs[topic], self._kafka.committed
        position = committed[topic]
        while position < len(log):
            batch = log[position : position + most]
            prepared = [self._prepared(topic, record) for record in batch]
            outputs = [*self._handlers[topic].apply(batch, prepared)]
            changes = self.rows.take_changes(0)
            self._kafka.send(outputs)
            self._kafka.send([Outgoing(topics.SENSITIVITY, *change, 0) for change in changes])
            # The commit comes behind the next batch: one that is lost repeats two.
            committed[topic], position = position, position + len(batch)
        committed[topic] = position

    def _prepared(self, topic: str, record: Received) -> object:
        if topic == topics.FEEDBACK:
            return wire.decode_feedback(record.key, record.value, self._scorer.terms())
        one = wire.decode_scene(record.key, record.value, self._scorer.terms())
        if not isinstance(one, Scene):
            return one
        [encoded] = self._scorer.encode([one])
        if topic == topics.SCENES:
            return encoded, self._scorer.read([encoded])[0]
        handler = self._handlers[topic]
        wish = handler._wish(encoded)  # type: ignore[attr-defined]
        ask = self._scorer.render if topic == topics.REGENERATE else self._scorer.bridge
        return one, ask([wish])[0]


def arrivals(seed: int) -> list[list[Scene | Feedback]]:
    """Return what comes in each round: next turns, some twice, and feedback on whatever was said or was not."""
    rng, turns = random.Random(seed), [0] * USERS
    rounds: list[list[Scene | Feedback]] = []
    for number in range(ROUNDS):
        came: list[Scene | Feedback] = []
        for _ in range(rng.randrange(4, 10)):
            user = rng.randrange(USERS)
            turns[user] += 1
            one = scene(turns[user], f"d{user}", f"u{user}", draft=f"{seed} {number} {rng.random()}")
            came += [one] * rng.choice([1, 1, 1, 1, 2])
        for _ in range(rng.randrange(0, 6)):
            user = rng.randrange(USERS)
            came.append(feedback(rng.randrange(0, turns[user] + 2), rng.random() < 0.7, f"d{user}", f"u{user}"))
        rounds.append(came)
    return rounds


def run(seed: int, most: int, kafka: Kafka) -> Kafka:
    """Have workers handle everything, a new one after each crash."""
    worker = Worker(kafka)
    for came in arrivals(seed):
        for event in came:
            topic = topics.SCENES if isinstance(event, Scene) else topics.FEEDBACK
            message, log = wire.encode(event, at=NOW), kafka.logs[topic]
            record = Record(topic, len(log), message.key, message.value, message.headers, len(log))
            log.append(cast("Received", record))
        while any(kafka.committed[topic] < len(kafka.logs[topic]) for topic in READ):
            try:
                for topic in READ:
                    worker.drain(topic, most)
            except Crash:
                worker = Worker(kafka)
    return kafka


@cache
def uninterrupted(seed: int, most: int) -> Kafka:
    return run(seed, most, Kafka(None))


def rows_of(kafka: Kafka) -> dict[str, Sensitivity]:
    rows = TableRows(topics.SENSITIVITY, positions=True)
    rows.restore(0, kafka.logs[topics.SENSITIVITY])
    return {f"u{user}": rows.of(0).get(f"u{user}") for user in range(USERS)}


def outputs_of(kafka: Kafka) -> dict[tuple[str, str], set[bytes | None]]:
    """Return what was said under each id on the topics that leave the pipeline, and in dead letters."""
    said: dict[tuple[str, str], set[bytes | None]] = defaultdict(set)
    for topic in (topics.READY, topics.WITHHELD, topics.REASONING):
        for record in kafka.logs[topic]:
            said[topic, wire.header(record.headers, "ce_id") or ""].add(record.value)
    return said


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 40), crashes=st.integers(0, 10**6), most=st.sampled_from([1, 3, 64]))
def test_rows_are_those_of_an_uninterrupted_run_and_repeats_say_the_same(seed: int, crashes: int, most: int) -> None:
    without = uninterrupted(seed, most)
    kafka = run(seed, most, Kafka(random.Random(crashes)))
    assert rows_of(kafka) == rows_of(without)
    said = outputs_of(kafka)
    assert said == outputs_of(without)
    assert all(len(bodies) == 1 for bodies in said.values())


def test_the_simulation_crashes_heals_and_repeats() -> None:
    kafka, without = run(3, 3, Kafka(random.Random(3))), uninterrupted(3, 3)
    assert kafka.crashes > 3
    for topic in (topics.SCENES, topics.REGENERATE, topics.ANALOGUE):
        assert len(kafka.logs[topic]) > len(without.logs[topic]) > 0


def test_a_topic_that_was_made_again_is_not_skipped() -> None:
    kafka = run(5, 64, Kafka(None))
    offered = {key: row.offered for key, row in rows_of(kafka).items()}
    kafka.logs[topics.SCENES].clear()
    kafka.committed[topics.SCENES] = 0
    later = 10**6
    for user in range(USERS):
        message = wire.encode(scene(200, f"d{user}", f"u{user}", draft="again"), at=NOW)
        record = Record(topics.SCENES, user, message.key, message.value, message.headers, later + user)
        kafka.logs[topics.SCENES].append(cast("Received", record))
    Worker(kafka).drain(topics.SCENES, 64)
    assert {key: row.offered for key, row in rows_of(kafka).items()} == {key: n + 1 for key, n in offered.items()}


def test_what_is_away_for_long_is_judged_when_it_comes_and_never_lost() -> None:
    counts: applied.Applied = {}
    for offset in range(400):
        counts = applied.count(counts, "scenes", offset, offset, None, goes_on=True)
    assert len(counts["scenes"].awaited) < 400
    for judged_at in range(400):
        assert not applied.has(counts, "scenes", 500, 500, judged_at)
    once = applied.count(counts, "scenes", 500, 500, 399, goes_on=False)
    assert applied.has(once, "scenes", 501, 501, 399)
    # Of a time when nothing was noted, or of another guarantee's.
    late: applied.Applied = applied.count({}, "scenes", 1000, 0, None, goes_on=False)
    assert not applied.has(late, "scenes", 1001, 0, 900)


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"{", b'{"scenes": 3}', b'{"scenes": [1, 2, 3]}', b'{"scenes": [[], 1, 2, []]}']
)
def test_a_header_that_is_none_is_said(value: bytes) -> None:
    with pytest.raises(ValueError, match="`applied` cannot be read"):
        applied.read(value)
    counts = {"scenes": applied.Position(7, 9, 1, (3, 4)), "feedback": applied.Position(1, 2, 1)}
    assert applied.read(applied.write(counts)) == counts

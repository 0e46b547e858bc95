"""The dashboard's own reader against a real worker: what it counts is what lies on the topics."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from builders import feedback, scene
from kafka_server import Broker
from live import Pipeline, decision_of

from schemas import topics
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka import wire
from streams.ops.follow.dialogue import Dialogue, ScanProgress
from streams.ops.follow.scan import scan
from streams.ops.pulse.headroom import headroom
from streams.ops.pulse.masks import mask
from streams.ops.pulse.pulse import Pulse
from streams.ops.reading.seen import FOLLOWED
from streams.ops.tail import Tail
from streams.settings import OpsSettings
from streams.stages.policy import Gate

SALT = b"salt"
WORDS = "nobody may read this"
REPEATED = 30
Lying = dict[str, list[Any]]


def until(what: Callable[[], bool], seconds: float = 30.0) -> None:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, "it did not come to that in time"
        time.sleep(0.05)


def events(users: int, turns: int) -> list[Scene | Feedback]:
    made: list[Scene | Feedback] = []
    for turn in range(1, turns + 1):
        for user in range(users):
            made.append(scene(turn, f"d{user}", f"u{user}", draft=f"{WORDS} {user} {turn}", task=f"task {user % 2}"))
            if turn % 2:
                made.append(feedback(turn, user % 3 > 0, f"d{user}", f"u{user}"))
    return [*made, scene(1, "d0", "u0", draft=WORDS), *[scene(2, "heavy", "whale") for _ in range(REPEATED)]]


def test_what_it_shows_is_what_lies_on_the_topics(broker: Broker, tmp_path: Path) -> None:
    asyncio.run(_shown(Pipeline(broker.bootstrap, tmp_path)))


async def _shown(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    sent = events(users=6, turns=12)
    set_by = [0.0]
    tail = Tail(pipeline.kafka, Gate(), OpsSettings(), SALT, lambda: time.time() + set_by[0])
    with pipeline.worker() as worker, closing(tail):
        await worker.until_ready()
        tail.start()
        async with pipeline.producer() as producer:
            await pipeline.send(producer, sent)
        await pipeline.outcomes(sum(isinstance(one, Scene) for one in sent) - REPEATED)
        # Rows that feedback left are the last to come.
        told = sum(isinstance(one, Feedback) for one in sent)
        await asyncio.to_thread(until, lambda: tail.pulse().stages[3].done + tail.pulse().feedback.unknown == told)
        assert worker.terminate() == 0
        lying = {name: await pipeline.read(name) for name in FOLLOWED}
        total = sum(len(records) for records in lying.values())
        await asyncio.to_thread(until, lambda: tail.state().records == total and tail.state().caught_up)
        assert tail.state().behind_records == 0
        for seconds in (7200.0, 0.0):
            # The clock is set two hours ahead, and back: what is shown below was read anew.
            before, set_by[0] = tail._fold, seconds
            await asyncio.to_thread(until, lambda before=before: tail._fold is not before and tail.state().caught_up)
            assert (tail.pulse().verdicts.final == 0) is (seconds > 0)
        assert tail.state().records == total
    rows = await pipeline.rows()
    decisions = _decisions(lying)
    pulse = tail.pulse()
    _check_verdicts(pulse, decisions)
    _check_stages(pulse, decisions, lying)
    _check_feedback(pulse, lying, rows)
    _check_keys(pulse, lying)
    assert (pulse.unread, pulse.late, pulse.ahead) == (0, 0, 0)
    assert WORDS not in pulse.model_dump_json()
    _check_dialogue(tail, decisions, lying)
    _check_scan(pipeline, tail)


def _decisions(lying: Lying) -> list[Decision]:
    final = [decision_of(r.value) for name in (topics.READY, topics.WITHHELD, topics.REASONING) for r in lying[name]]
    onward = [
        decision_of((wire.header(record.headers, wire.DECISION) or "").encode())
        for name in (topics.REGENERATE, topics.ANALOGUE)
        for record in lying[name]
    ]
    return [*final, *onward]


def _check_verdicts(pulse: Pulse, decisions: list[Decision]) -> None:
    counted = Counter(decision.verdict.value for decision in decisions)
    assert {name: getattr(pulse.verdicts, name) for name in counted} == counted
    assert pulse.verdicts.final == sum(decision.final for decision in decisions)
    assert {one.rule: one.count for one in pulse.rules} == Counter(decision.rule for decision in decisions)
    by_task = Counter(decision.task for decision in decisions if decision.final)
    assert {one.task: one.verdicts.final for one in pulse.tasks} == by_task


def _check_stages(pulse: Pulse, decisions: list[Decision], lying: Lying) -> None:
    by_stage = {stage.stage: stage for stage in pulse.stages}
    resonance = by_stage["resonance"]
    assert resonance.arrived == len(lying[topics.SCENES])
    assert resonance.done == resonance.age.count == len(decisions)
    assert resonance.failed == len(lying["scenes.dead"]) == REPEATED
    for stage, topic in (("regeneration", topics.REGENERATE), ("bridge", topics.ANALOGUE)):
        found = by_stage[stage]
        assert found.arrived == found.done == found.age.count == len(lying[topic])
    # The slowest is known from the topics: from a scene's own record to that of its outcome.
    came = {(r.value, wire.header(r.headers, "ce_subject")): r.timestamp for r in lying[topics.SCENES]}
    assert resonance.age.most_seconds is not None
    assert resonance.age.most_seconds <= (max(r.timestamp for r in lying[topics.READY]) - min(came.values())) / 950


def _check_feedback(pulse: Pulse, lying: Lying, rows: dict[str, Sensitivity]) -> None:
    said = [Feedback.model_validate_json(record.value) for record in lying[topics.FEEDBACK]]
    assert pulse.feedback.rejected == sum(one.error == 1 for one in said)
    assert pulse.feedback.accepted == sum(one.error == 0 for one in said)
    outcomes = Counter(wire.header(record.headers, wire.OUTCOME) for record in lying[topics.SENSITIVITY])
    assert pulse.feedback.learnt == outcomes["learnt"] == pulse.metastability.labels
    assert pulse.feedback.inapplicable == outcomes["inapplicable"]
    assert pulse.metastability.errors == sum(row.drafts.errors for row in rows.values())
    for account in pulse.ledgers:
        own = [row for row in rows.values() if row.task == account.task]
        assert account.users == len(own)
        assert abs(account.headroom_worst - min(headroom(row, account.account, Gate()) for row in own)) < 1e-3


def _check_keys(pulse: Pulse, lying: Lying) -> None:
    on = Counter(record.partition for record in lying[topics.SCENES])
    assert {one.partition: one.scenes for one in pulse.partitions} == {n: on[n] for n in range(4)}
    assert pulse.skew == pytest.approx(max(on.values()) * 4 / on.total(), abs=1e-4)
    counted = {key.key: key.count for one in pulse.partitions for key in one.heaviest}
    keys = Counter(record.key for record in lying[topics.SCENES])
    assert counted[mask("whale", SALT)] == keys[b"whale"]


def _check_dialogue(tail: Tail, decisions: list[Decision], lying: Lying) -> None:
    steps = tail.recent(dialogue="d1").steps
    assert {(step.scene_id, step.attempt, step.verdict) for step in steps if step.kind == "decision"} == {
        (one.scene_id, one.attempt, one.verdict) for one in decisions if one.dialogue_id == "d1"
    }
    offsets = {(r.partition, r.offset) for r in lying[topics.SCENES] if r.key == b"u1"}
    assert {(step.partition, step.offset) for step in steps if step.kind == "scene"} == offsets
    said = sum(b'"d1"' in record.value for record in lying[topics.FEEDBACK])
    assert sum(step.kind == "row" for step in steps) == sum(step.kind == "feedback" for step in steps) == said
    assert [step.turn for step in steps] == sorted(step.turn or 0 for step in steps)
    assert WORDS not in tail.recent(user="u1").model_dump_json()
    assert any(step.draft == f"{WORDS} 1 3" for step in tail.recent(user="u1", texts=True).steps)
    assert not tail.recent(dialogue="nobody's").steps


def _check_scan(pipeline: Pipeline, tail: Tail) -> None:
    for asked in ({"user": "u1"}, {"dialogue": "d1"}):
        *progress, found = scan(pipeline.kafka, OpsSettings(), Gate(), **asked)
        assert isinstance(found, Dialogue)
        assert found == tail.recent(dialogue="d1")
        assert isinstance(progress[-1], ScanProgress)
        assert (progress[-1].done, progress[-1].share) == (True, 1.0)
    hurried = list(scan(pipeline.kafka, OpsSettings(scan_seconds=1e-6), Gate(), user="u1"))
    assert isinstance(hurried[-2], ScanProgress)
    assert hurried[-2].ended_early == "time is up"
    assert isinstance(hurried[-1], Dialogue)
    assert not hurried[-1].whole


def test_a_broker_that_goes_away_is_told_and_read_again(own: Broker, tmp_path: Path) -> None:
    asyncio.run(_away(own, Pipeline(own.bootstrap, tmp_path)))


async def _away(own: Broker, pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    tail = Tail(pipeline.kafka, Gate(), OpsSettings(timeout_seconds=1.0), SALT)
    with closing(tail):
        tail.start()
        async with pipeline.producer() as producer:
            await pipeline.send(producer, [scene(1)])
        await asyncio.to_thread(until, lambda: tail.pulse().stages[0].arrived == 1)
        await asyncio.to_thread(own.stop)
        await asyncio.to_thread(until, lambda: tail.state().error is not None)
        assert "no Kafka answers" in (tail.state().error or "")
        first, second = tail.pulse(), tail.pulse()
        assert (first.at, first.stages[0].arrived) == (second.at, 1)
        await asyncio.to_thread(own.start)
        async with pipeline.producer() as producer:
            await pipeline.send(producer, [scene(2)])
        await asyncio.to_thread(until, lambda: tail.state().error is None and tail.pulse().stages[0].arrived == 2)

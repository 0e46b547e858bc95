"""What a worker counts, read as Prometheus reads it, and counted a second time by hand."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import cast

from builders import scene
from fake_scorer import FakeScorer
from prometheus_client.parser import text_string_to_metric_families

from schemas.decision import Decision
from schemas.names import Origin
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka.records import Outgoing, Received
from streams.ops.metrics.worker import Standing, WorkerMetrics
from streams.scoring.port import Wish
from streams.settings import Settings
from streams.stages import bridge, regeneration, resonance
from streams.stages.policy import Policy

POLICY = Settings().policy()
AT_REST = Standing("working", 7, 4, 3, 1, 0)


@dataclass
class Record:
    topic: str
    timestamp: int
    value: bytes | None = b"12345"


def read(metrics: WorkerMetrics, standing: Standing = AT_REST) -> dict[str, dict[tuple[str, ...], float]]:
    """Return {sample: {values of its labels in alphabetical order: value}}."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(metrics.exposition(standing).decode()):
        for one in family.samples:
            labels = tuple(one.labels[name] for name in sorted(one.labels))
            assert labels not in found.setdefault(one.name, {}), "a series twice"
            found[one.name][labels] = one.value
    return found


def fresh(policy_mode: str = "expected") -> WorkerMetrics:
    return WorkerMetrics({"fake": "ab" * 32}, "strict" if policy_mode == "strict" else "expected", "exactly_once")


def decisions(count: int, policy: Policy = POLICY) -> list[Decision]:
    """Return every verdict on so many scenes and on what healing made of them."""
    scorer, made, row = FakeScorer(), [], Sensitivity(key="u")
    for turn in range(1, count + 1):
        onward: Scene | None = scene(turn, "d", "u", draft=f"draft {turn}")
        while onward is not None:
            one = onward
            [encoded] = scorer.encode([one])
            if one.origin is Origin.FRESH:
                row = resonance.offer(row, one, policy)
            judged = resonance.judge(one, scorer.read([encoded])[0], row, policy)
            row = judged.row
            made.append(judged.decision)
            onward = judged.onward
            if onward is not None:
                wish = Wish(scorer.encode([onward])[0], "poetic", 3)
                if judged.decision.verdict == "regenerate":
                    onward = regeneration.regenerate(onward, scorer.render([wish])[0])
                else:
                    onward = bridge.bridge(onward, scorer.bridge([wish])[0], policy.routes)
    return made


def test_verdicts_healings_scores_and_headroom_are_those_of_the_decisions() -> None:
    metrics, made = fresh(), decisions(300)
    for one in made:
        metrics.decided(one)
    found = read(metrics)
    judged = Counter(("fresh" if one.healing is None else one.healing.route, one.rule, one.verdict) for one in made)
    assert {labels: count for labels, count in found["scenestream_decisions_total"].items() if count} == judged
    healed = Counter((one.verdict, one.healing.route, one.healing.strength or "") for one in made if one.healing)
    assert {labels: count for labels, count in found["scenestream_healings_total"].items() if count} == healed
    assert sum(found["scenestream_resonance_count"].values()) == len(made)
    poor = sum(one.resonance <= 0.5 for one in made if one.healing is None)
    assert found["scenestream_resonance_bucket"][("0.5", "fresh")] == poor
    gains = [one.healing.gain for one in made if one.healing is not None and one.healing.gain is not None]
    assert found["scenestream_gain_count"][()] == len(gains)
    assert found["scenestream_gain_bucket"][("0.3",)] == sum(gain <= 0.3 for gain in gains)
    ledgers = [one.ledger for one in made if one.ledger.account == "drafts"]
    short = sum(one.bound - one.errors - one.expected <= 2.0 for one in ledgers)
    assert found["scenestream_ledger_headroom_errors_bucket"][("drafts", "2.0")] == short
    assert len(healed) > 3
    assert short not in {0, len(ledgers)}


def test_in_strict_mode_each_unlabelled_scene_takes_room() -> None:
    strict = POLICY.model_copy(update={"gate": POLICY.gate.model_copy(update={"mode": "strict"})})
    metrics, made = fresh("strict"), decisions(40, strict)
    for one in made:
        metrics.decided(one)
    ledgers = [one.ledger for one in made if one.ledger.account == "drafts"]
    short = sum(one.bound - one.errors - one.pending <= 1.0 for one in ledgers)
    assert read(metrics)["scenestream_ledger_headroom_errors_bucket"][("drafts", "1.0")] == short > 0


def test_every_rule_is_shown_from_the_start_with_its_verdict() -> None:
    found = read(fresh())
    rules = {rule: verdict for _, rule, verdict in found["scenestream_decisions_total"]}
    assert rules["fresh.resonates"] == "ready"
    assert rules["ledger.drafts"] == rules["bridged.gains_little"] == "withheld"
    assert set(found["scenestream_decisions_total"].values()) == {0.0}
    assert set(found["scenestream_feedback_total"]) == {
        ("learnt",), ("told",), ("repeated",), ("inapplicable",), ("unknown",)
    }  # fmt: skip


def test_a_committed_batch_is_counted_by_topic_with_its_bytes_and_its_age() -> None:
    metrics = fresh()
    now_ms = int(time.time() * 1000)
    records = [Record("scenes", now_ms - 20_000), Record("scenes", now_ms + 60_000), Record("scenes", now_ms, None)]
    sent = [
        Outgoing("scenes.ready", b"k", b"123"),
        Outgoing("scenes.ready", b"k", None),
        Outgoing("feedback", b"k", b""),
    ]
    metrics.committed(cast("list[Received]", records), sent, 0.02)
    found = read(metrics)
    assert found["scenestream_received_records_total"] == {("scenes",): 3.0}
    assert found["scenestream_received_bytes_total"] == {("scenes",): 10.0}
    assert found["scenestream_sent_records_total"] == {("scenes.ready",): 2.0, ("feedback",): 1.0}
    assert found["scenestream_sent_bytes_total"] == {("scenes.ready",): 3.0, ("feedback",): 0.0}
    assert found["scenestream_batch_records_sum"] == {("scenes",): 3.0}
    assert found["scenestream_commit_seconds_sum"] == {("scenes",): 0.02}
    ages = found["scenestream_record_age_seconds_bucket"]
    assert ages[("10.0", "scenes")] == 2.0, "a record from the future is of now"
    assert ages[("30.0", "scenes")] == 3.0


def test_answers_restores_letters_and_labels_are_counted() -> None:
    metrics = fresh()
    metrics.asked("encoder", "encode", 12, [0.001, 0.2], 0.05)
    metrics.restoring(500)
    assert read(metrics)["scenestream_restore_left_offsets"] == {(): 500.0}
    metrics.restored(40, 1.5)
    metrics.started_over()
    metrics.buried("scenes", "resonance", "broken_json")
    metrics.tuned("learnt")
    found = read(metrics)
    assert found["scenestream_model_items_sum"] == {("encode", "encoder"): 12.0}
    assert found["scenestream_model_seconds_sum"] == {("encode", "encoder"): 0.05}
    assert found["scenestream_model_queue_seconds_count"] == {("encoder",): 2.0}
    assert found["scenestream_restore_left_offsets"] == {(): 0.0}
    assert found["scenestream_restored_records_total"] == {(): 40.0}
    assert found["scenestream_restore_seconds_sum"] == {(): 1.5}
    assert found["scenestream_starts_over_total"] == {(): 1.0}
    assert found["scenestream_dead_letters_total"] == {("broken_json", "resonance", "scenes"): 1.0}
    assert found["scenestream_feedback_total"][("learnt",)] == 1.0


def test_gauges_are_of_the_moment_of_the_scrape() -> None:
    found = read(fresh())
    assert found["scenestream_worker_state"] == {
        ("starting",): 0.0, ("restoring",): 0.0, ("working",): 1.0, ("draining",): 0.0
    }  # fmt: skip
    assert found["scenestream_rows"] == {(): 7.0}
    assert found["scenestream_partitions"] == {(): 4.0}
    assert found["scenestream_open_records"] == {(): 3.0}
    assert found["scenestream_paused_partitions"] == {(): 1.0}
    assert found["scenestream_stalled"] == {(): 0.0}
    assert found["scenestream_model_info"] == {("fake", "abababababab"): 1.0}
    assert found["process_resident_memory_bytes"][()] > 0


def test_counting_costs_a_small_share_of_judging() -> None:
    """Processor time in one run, so that other work on the machine does not count."""
    metrics, one = fresh(), scene(1, "d", "u", draft="draft")
    encoded = FakeScorer().encode([one])[0]
    reading = FakeScorer().read([encoded])[0]
    row = resonance.offer(Sensitivity(key="u"), one, POLICY)
    began = time.process_time()
    made = [resonance.judge(one, reading, row, POLICY).decision for _ in range(2000)]
    judged = time.process_time()
    for decision in made:
        metrics.decided(decision)
    assert time.process_time() - judged < 0.1 * (judged - began)

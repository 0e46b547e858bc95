"""What the embedded runtime owes the stages and the log, whatever the models say and however they are batched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from builders import policy, scene
from fake_scorer import FakeScorer
from seeded_logs import log

from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.names import Origin, Verdict
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.replay.digest import Digest
from streams.replay.items import Item, Where
from streams.runtimes.embedded import EmbeddedRuntime
from streams.runtimes.lanes import Batching
from streams.runtimes.lockstep import Outcome
from streams.scoring.port import Wish
from streams.stages import admit, bridge, preferences, regeneration, resonance, rows, threshold
from streams.stages.admit import Refusal
from streams.stages.policy import Gate, Policy, Routes

RULES = policy(mode="expected", slack=3.0)
BATCHINGS = [Batching(1, 0.0, 8), Batching(7, 1.0, 768), Batching(64, 5.0, 768), Batching(64, 0.0, 8)]


def run(
    items: list[Item], batching: Batching = BATCHINGS[1], rules: Policy = RULES, scorer: FakeScorer | None = None
) -> tuple[list[Outcome], EmbeddedRuntime]:
    runtime = EmbeddedRuntime(scorer or FakeScorer(), rules, batching)
    return list(runtime.run(items)), runtime


def digest(outcomes: list[Outcome]) -> str:
    made = Digest()
    for outcome in outcomes:
        for decision in outcome.decisions:
            made.add(decision)
    return made.hexdigest()


class OneByOne:
    """The plainest runtime there could be: one item after the other, one scene to a batch, no threads."""

    def __init__(self, rules: Policy) -> None:
        self.rows: dict[str, Sensitivity] = {}
        self._rules = rules
        self._scorer = FakeScorer()

    def take(self, item: Item) -> Outcome:
        event = item.event
        if isinstance(event, Refusal):
            return Outcome(item, dead=item.where.dead(event))
        row = self.rows.get(event.key, Sensitivity(key=event.key))
        if isinstance(event, Feedback):
            tuned = threshold.tune(row, event, self._rules.gate)
            self.rows[event.key] = tuned.row
            dead = item.where.dead(admit.unknown_scene(event)) if tuned.outcome == "unknown" else None
            return Outcome(item, feedback=tuned.outcome, dead=dead)
        refusal = admit.place(event, rows.dialogue_of(row, event.dialogue_id))
        if refusal is not None:
            return Outcome(item, dead=item.where.dead(refusal))
        return Outcome(item, decisions=tuple(self._decide(event, resonance.offer(row, event, self._rules))))

    def _decide(self, one: Scene, row: Sensitivity) -> Iterator[Decision]:
        onward: Scene | None = one
        while onward is not None:
            (encoded,) = self._scorer.encode([onward])
            (reading,) = self._scorer.read([encoded])
            judged = resonance.judge(onward, reading, row, self._rules)
            row = self.rows[one.key] = judged.row
            yield judged.decision
            onward = None if judged.onward is None else self._heal(judged.onward, row, judged.decision.verdict)

    def _heal(self, one: Scene, row: Sensitivity, verdict: Verdict) -> Scene:
        (encoded,) = self._scorer.encode([one])
        codes = preferences.codes_wanted(row, rows.dialogue_of(row, one.dialogue_id), self._rules.gate.codes)
        if verdict is Verdict.REGENERATE:
            wish = Wish(encoded, regeneration.choose_register(one, row), codes)
            return regeneration.regenerate(one, self._scorer.render([wish])[0])
        return bridge.bridge(one, self._scorer.bridge([Wish(encoded, one.register, codes)])[0], self._rules.routes)


def threads() -> set[str]:
    names = (thread.name for thread in threading.enumerate())
    return {name for name in names if name.startswith(("log-reader", "encoder", "models"))}


@pytest.mark.parametrize("batching", BATCHINGS[1:3], ids=str)
@pytest.mark.parametrize(
    "rules",
    [
        RULES, policy(mode="strict", expiry_turns=3), policy(mode="off", theta0=0.9),
        Policy(gate=Gate(mode="observe"), routes=Routes(regeneration=False, authored=False)),
        policy(max_healings=1),
    ],
    ids=["expected", "strict", "off", "observe", "one healing"],
)  # fmt: skip
def test_batches_decide_what_one_by_one_decides(batching: Batching, rules: Policy) -> None:
    items = log(seed=5, scenes=150)
    outcomes, runtime = run(items, batching, rules)
    plain = OneByOne(rules)
    for outcome, expected in zip(outcomes, [plain.take(item) for item in items], strict=True):
        assert outcome == expected
    assert list(runtime.rows) == [plain.rows[key] for key in sorted(plain.rows)]


def test_the_log_of_these_tests_holds_everything() -> None:
    outcomes, _ = run(log(seed=5))
    decisions = [decision for outcome in outcomes for decision in outcome.decisions]
    assert {decision.verdict for decision in decisions} == set(Verdict)
    assert {decision.origin for decision in decisions} == set(Origin)
    assert {outcome.feedback for outcome in outcomes} - {None} == {
        "learnt", "told", "repeated", "inapplicable", "unknown",
    }  # fmt: skip
    assert {outcome.dead.reason for outcome in outcomes if outcome.dead is not None} == {
        "broken_json", "duplicate", "out_of_order", "unknown_scene",
    }  # fmt: skip
    assert {decision.rule for decision in decisions if decision.rule.startswith("ledger")}
    assert max(decision.attempt for decision in decisions) == 2


def test_one_log_has_one_digest_whatever_the_batches() -> None:
    items = log(seed=1)
    digests = {digest(run(items, batching)[0]) for batching in BATCHINGS}
    slow = FakeScorer(pause_seconds=0.002)
    digests.add(digest(run(items, BATCHINGS[1], scorer=slow)[0]))
    assert len(digests) == 1


def test_other_labels_give_another_digest() -> None:
    items = log(seed=1)
    assert digest(run(items)[0]) != digest(run([item for item in items if not isinstance(item.event, Feedback)])[0])


def test_outcomes_come_in_the_order_of_the_log_one_for_each_item() -> None:
    items = log(seed=3)
    outcomes, _ = run(items)
    assert [outcome.item.where.line for outcome in outcomes] == [item.where.line for item in items]


def test_every_admitted_scene_has_one_final_decision_and_at_most_two_healings() -> None:
    outcomes, _ = run(log(seed=3))
    finals: list[str] = []
    for outcome in outcomes:
        if not isinstance(outcome.item.event, Scene):
            assert outcome.decisions == ()
            continue
        assert (outcome.dead is None) is bool(outcome.decisions)
        assert [decision.attempt for decision in outcome.decisions] == list(range(len(outcome.decisions)))
        assert [decision.final for decision in outcome.decisions] == [False] * (len(outcome.decisions) - 1) + [
            True
        ] * bool(outcome.decisions)
        assert len(outcome.decisions) <= 3
        finals += [decision.scene_id for decision in outcome.decisions if decision.final]
    assert len(finals) == len(set(finals))


def test_feedback_counts_before_its_keys_next_scene_and_for_no_other_key() -> None:
    items = []
    for turn in range(1, 9):
        for user in ("quiet", "loud"):
            items.append(Item(Where("log", turn, b""), scene(turn, user, user, draft=f"turn {turn}", context=())))
            if user == "loud":
                told = Feedback(dialogue_id=user, user_id=user, turn=turn, accepted=False)
                items.append(Item(Where("log", turn, b""), told))
    outcomes, runtime = run(items, Batching(64, 50.0, 768), policy(mode="off", theta0=0.3))
    thresholds = {
        user: [
            decision.threshold
            for outcome in outcomes
            for decision in outcome.decisions
            if decision.user_id == user and decision.attempt == 0
        ]
        for user in ("quiet", "loud")
    }
    assert set(thresholds["quiet"]) == {0.3}
    rejected = 0
    for outcome in outcomes:
        if outcome.decisions and outcome.decisions[0].user_id == "loud":
            assert outcome.decisions[0].threshold == pytest.approx(0.3 + 0.054 * rejected)
        rejected += outcome.feedback == "learnt"
    assert rejected > 2
    assert runtime.rows.get("loud").drafts.errors == rejected


def test_a_batch_is_never_larger_than_allowed_and_each_task_has_its_thread() -> None:
    scorer = FakeScorer(pause_seconds=0.001)
    run(log(seed=2), Batching(7, 5.0, 100), scorer=scorer)
    assert set(scorer.batches) == {"encode", "read", "render", "bridge"}
    assert max(max(sizes) for sizes in scorer.batches.values()) <= 7
    assert sum(scorer.batches["encode"]) == 300
    assert len(scorer.threads["encode"]) == 1
    owners = {name for task in ("read", "render", "bridge") for name in scorer.threads[task]}
    assert len(owners) == 1
    assert not owners & scorer.threads["encode"]


def test_batches_fill_while_the_models_are_busy() -> None:
    scorer = FakeScorer(pause_seconds=0.02)
    run(log(seed=2), Batching(32, 0.0, 768), scorer=scorer)
    assert sum(scorer.batches["encode"]) / len(scorer.batches["encode"]) > 8


def test_a_partly_filled_batch_does_not_wait_for_ever() -> None:
    released = threading.Event()

    def trickle() -> Iterator[Item]:
        yield Item(Where("log", 1, b""), scene(1))
        assert released.wait(10)
        yield Item(Where("log", 2, b""), scene(2))

    runtime = EmbeddedRuntime(FakeScorer(), RULES, Batching(64, 20.0, 768))
    outcomes = runtime.run(trickle())
    assert next(outcomes).item.where.line == 1
    released.set()
    assert [outcome.item.where.line for outcome in outcomes] == [2]


def test_the_log_is_read_no_further_ahead_than_allowed() -> None:
    pulled = 0

    def counted() -> Iterator[Item]:
        nonlocal pulled
        for item in log(seed=2):
            pulled += 1
            yield item

    runtime = EmbeddedRuntime(FakeScorer(), RULES, Batching(4, 0.0, 16))
    for done, _ in enumerate(runtime.run(counted()), 1):
        assert pulled - done <= 17


def test_nothing_in_nothing_out() -> None:
    assert run([])[0] == []
    refusals = [item for item in log(seed=2) if isinstance(item.event, Refusal)]
    assert [outcome.dead is not None for outcome in run(refusals)[0]] == [True] * len(refusals)


def test_a_log_that_fails_is_decided_as_far_as_it_was_read_and_then_says_so() -> None:
    items = log(seed=4, scenes=40)

    def failing() -> Iterator[Item]:
        yield from items
        raise OSError("the disk is gone")

    runtime = EmbeddedRuntime(FakeScorer(pause_seconds=0.002), RULES, BATCHINGS[1])
    outcomes: list[Outcome] = []
    with pytest.raises(OSError, match="the disk is gone"):
        outcomes.extend(runtime.run(failing()))
    assert outcomes == run(items)[0]
    assert_threads_end()


@pytest.mark.parametrize("batching", BATCHINGS, ids=str)
def test_models_that_fail_end_the_run(batching: Batching) -> None:
    items = log(seed=4)
    victim = next(item.event.draft for item in items[100:] if isinstance(item.event, Scene))
    with pytest.raises(ZeroDivisionError, match="the encoder failed"):
        run(items, batching, scorer=FakeScorer(fails_on=victim))
    assert_threads_end()


def test_models_that_lose_a_scene_end_the_run() -> None:
    class Forgetful(FakeScorer):
        def encode(self, scenes: list[Scene]) -> list[object]:  # type: ignore[override]
            return super().encode(scenes)[1:]  # type: ignore[return-value]

    with pytest.raises(ValueError, match="zip"):
        run(log(seed=4), scorer=Forgetful())


@pytest.mark.parametrize("batching", BATCHINGS, ids=str)
def test_a_run_that_is_left_ends_its_threads(batching: Batching) -> None:
    runtime = EmbeddedRuntime(FakeScorer(pause_seconds=0.001), RULES, batching)
    with closing(runtime.run(iter(log(seed=4)))) as outcomes:
        next(outcomes)
    assert_threads_end()
    with closing(EmbeddedRuntime(FakeScorer(), RULES, batching).run(log(seed=4))):
        pass
    assert_threads_end()


def test_a_runtime_runs_once() -> None:
    runtime = EmbeddedRuntime(FakeScorer(), RULES, BATCHINGS[0])
    assert len(list(runtime.run(log(seed=4, scenes=3)))) >= 3
    with pytest.raises(RuntimeError, match="runs once"):
        list(runtime.run(log(seed=4)))


def test_stages_are_timed_by_scenes() -> None:
    _, runtime = run(log(seed=3))
    summary = runtime.timings.summary()
    assert set(summary) == {
        "models.encode", "models.read", "models.regeneration", "models.bridge", "resonance", "threshold",
    }  # fmt: skip
    assert summary["models.encode"]["count"] == 300


def assert_threads_end() -> None:
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() == set()

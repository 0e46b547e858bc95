"""The pulse against an independent count: any order, any traffic, bounded memory."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections import Counter

import pytest
from builders import chain, decision, feedback, row
from hypothesis import given
from hypothesis import strategies as st

from schemas import topics
from schemas.decision import Decision
from schemas.names import Origin, Verdict
from schemas.scene import Healing, Step
from streams.kafka import wire
from streams.ops.follow.recent import Recent, follow
from streams.ops.pulse.fold import Bounds, PulseFold
from streams.ops.pulse.heavy import HeavyKeys, SpaceSaving
from streams.ops.pulse.pairs import Pairs
from streams.ops.pulse.pulse import Pulse
from streams.ops.pulse.view import view
from streams.ops.reading.seen import FOLLOWED, DeathSeen, Record, RowSeen, Said, SceneSeen, read
from streams.stages.policy import Gate
from streams.topology import goes_to

NOW = 1_800_000_000.0
BOUNDS = Bounds(window_seconds=60.0, buckets=12, tasks=3, reasons=2, open_pairs=500, users=50)
SALT = b"salt"
_ONE = decision()
_FIELDS = st.sampled_from(
    ["dialogue_id", "scene_id", "turn", "attempt", "origin", "user_id", "type", "draft", "context"]
)
_HEADERS = st.sampled_from(["ce_source", "ce_id", "decision", "outcome", "__dlq.errors.stage", "__dlq.redriven.offset"])

Seen = tuple[Record, Said]
_HEALED = Healing(route="bridge", before=chain(), fidelity=0.4, gain=0.35, risk=0.3, strength="partial")


def _record(topic: str, number: int, at: float, key: str) -> Record:
    return Record(topic, number % 3, number, at, key.encode(), b"{}", ())


@st.composite
def traffic(draw: st.DrawFn) -> list[Seen]:
    """Scenes that come, are judged or die, some of them healed; feedback and its rows; all within a minute."""
    seen: list[Seen] = []
    for number in range(draw(st.integers(0, 30))):
        at = NOW - draw(st.integers(1, 50))
        key = f"u{draw(st.integers(0, 4))}"
        task = draw(st.sampled_from([None, "a", "b", "c"]))
        verdict = draw(st.sampled_from(list(Verdict)))
        what = draw(st.sampled_from(["judged", "judged", "healed", "dead", "feedback", "letter alone"]))
        name = f"d{number}:1"
        if what in {"judged", "healed"}:
            healed = what == "healed"
            origin = Origin.BRIDGE if healed else Origin.FRESH
            made = _made(
                scene_id=name, user_id=key, task=task, verdict=verdict, attempt=int(healed), origin=origin,
                final=verdict in {Verdict.READY, Verdict.WITHHELD, Verdict.REASONING},
                healing=_HEALED if healed else None, resonance=0.7,
                lineage=(Step(stage="resonance", attempt=0, outcome="analogue", rule="r", resonance=0.2),
                         Step(stage="resonance", attempt=1, outcome="ready", rule="r", resonance=0.7)),
            )  # fmt: skip
            seen.append((_record(topics.SCENES, number, at, key), _scene(made, None)))
            to = goes_to("resonance", verdict.value)
            seen.append((_record(to, number, at + 1, key), made if made.final else _scene(made, made)))
        elif what == "feedback":
            told = feedback(number, draw(st.booleans()), "d", key)
            seen.append((_record(topics.FEEDBACK, number, at, key), told))
            outcome = draw(st.sampled_from(["learnt", "repeated", "inapplicable", "unknown"]))
            said = RowSeen(row(key=key, task=task), "threshold", outcome, wire.row_id(told.scene_id, "threshold", 0))
            seen.append((_record(topics.SENSITIVITY, number, at + 1, key), said))
        else:
            death = DeathSeen("resonance", draw(st.sampled_from(["duplicate", "too_long", "ValueError"])))
            seen.append((_record("scenes.dead", number, at, key), death))
    return seen


def _made(**fields: object) -> Decision:
    return _ONE.model_copy(update=fields)


def _scene(made: Decision, carried: Decision | None) -> SceneSeen:
    return SceneSeen(made.scene_id, made.dialogue_id, made.user_id, made.attempt, made.origin.value, carried)


def fold(seen: list[Seen], bounds: Bounds = BOUNDS) -> PulseFold:
    made = PulseFold(Gate(), bounds, NOW, partitions=3)
    for record, said in seen:
        made.take(record, said)
    return made


def comparable(pulse: Pulse) -> dict[str, object]:
    return pulse.model_dump()


@given(traffic(), st.randoms(use_true_random=False))
def test_the_order_in_which_records_come_changes_nothing(seen: list[Seen], rng: random.Random) -> None:
    mixed = list(seen)
    rng.shuffle(mixed)
    few = Bounds(window_seconds=60.0, buckets=12)
    assert comparable(view(fold(mixed, few), SALT)) == comparable(view(fold(seen, few), SALT))


@given(traffic())
def test_the_sums_are_those_of_an_independent_count(seen: list[Seen]) -> None:
    pulse = view(fold(seen), SALT)
    judged = [said for _, said in seen if isinstance(said, Decision)]
    judged += [said.carried for _, said in seen if isinstance(said, SceneSeen) and said.carried is not None]
    verdicts = Counter(one.verdict.value for one in judged)
    assert {name: getattr(pulse.verdicts, name) for name in Verdict} == {name: verdicts[name] for name in Verdict}
    assert pulse.verdicts.final == sum(one.final for one in judged)
    assert sum(one.count for one in pulse.rules) == len(judged)
    by_task = Counter(one.task for one in judged)
    assert sum(sum(getattr(task.verdicts, name) for name in Verdict) for task in pulse.tasks) == len(judged)
    for task in pulse.tasks:
        if not task.other:
            assert sum(getattr(task.verdicts, name) for name in Verdict) == by_task[task.task]
    came_back = [one for one in judged if one.healing is not None]
    bridge = pulse.healing[1]
    assert (bridge.judged, bridge.partial) == (len(came_back), len(came_back))
    assert bridge.ready == pulse.healed == sum(one.verdict is Verdict.READY for one in came_back)
    if came_back:
        assert (bridge.resonance_before, bridge.resonance_after, bridge.gain) == (0.2, 0.7, 0.35)
    deaths = [said for _, said in seen if isinstance(said, DeathSeen)]
    assert sum(one.count for one in pulse.dead) == len(deaths) == pulse.stages[0].failed
    assert pulse.records == len(seen)
    assert sum(one.scenes for one in pulse.partitions) == sum(record.topic == topics.SCENES for record, _ in seen)
    assert pulse.stages[0].age.count == len(judged)


@given(traffic())
def test_moments_add_up_to_the_whole(seen: list[Seen]) -> None:
    pulse = view(fold(seen), SALT)
    for name in Verdict:
        assert sum(getattr(moment.verdicts, name) for moment in pulse.moments) == getattr(pulse.verdicts, name)
    assert sum(moment.accepted for moment in pulse.moments) == pulse.feedback.accepted
    assert sum(moment.failed for moment in pulse.moments) == sum(one.count for one in pulse.dead)


@given(traffic())
def test_labels_that_counted_are_joined_to_what_was_said(seen: list[Seen]) -> None:
    pulse = view(fold(seen), SALT)
    said = [one for _, one in seen]
    learnt = [one for one in said if isinstance(one, RowSeen) and one.outcome == "learnt"]
    spoken = {wire.row_id(one.scene_id, "threshold", 0): one.error for one in said if hasattr(one, "preference")}
    assert pulse.metastability.labels == len(learnt) == pulse.feedback.learnt
    assert pulse.metastability.errors == sum(spoken[one.ce_id] or 0 for one in learnt)


@given(st.lists(st.text("abcdefghij", min_size=1, max_size=2), max_size=300))
def test_a_heavy_keys_count_is_never_too_low_and_its_error_is_told(keys: list[str]) -> None:
    sketch, true = SpaceSaving(8), Counter(keys)
    for key in keys:
        sketch.add(key)
    assert len(sketch.keys) <= 8
    for key in true:
        count, error = sketch.get(key)
        assert count - error <= true[key] <= count
    assert {key for key, count in true.items() if count > len(keys) / 8} <= sketch.keys


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.integers(0, 59)), max_size=200))
def test_heavy_keys_of_a_window_are_within_their_bounds(came: list[tuple[str, int]]) -> None:
    keys = HeavyKeys(10.0, 6, 4, NOW)
    for key, ago in came:
        keys.add(key, NOW - ago)
    within = Counter(key for key, ago in came if (NOW - ago) // 10 > NOW // 10 - 6)
    assert keys.total == within.total()
    for heavy in keys.heaviest(100):
        assert heavy.count - heavy.error <= within[heavy.key] <= heavy.count


def test_memory_stays_bounded_whatever_comes() -> None:
    rng = random.Random(7)
    made = PulseFold(Gate(), BOUNDS, NOW, partitions=3)
    for number in range(5000):
        at = NOW + number / 10
        made.advance(at)
        key, task = f"user {rng.randrange(10**9)}", f"<script>{rng.randrange(10**9)}" * 9
        one = _made(scene_id=f"{key}:{number}", user_id=key, task=task, rule=f"rule {number}")
        made.take(_record(topics.SCENES, number, at, key), _scene(one, None))
        if number % 2:
            made.take(_record(topics.READY, number, at + rng.random() * 100 - 50, key), one)
        made.take(_record("scenes.dead", number, at, key), DeathSeen(f"stage {number}", f"reason {number}"))
        seen = RowSeen(row(key=key, task=task), "resonance", "learnt", str(number))
        made.take(_record(topics.SENSITIVITY, number, at, key), seen)
    assert len(made.window.sums()) < 400
    assert len(made.budgets) == BOUNDS.users
    assert made.budgets.forgotten == 5000 - BOUNDS.users
    assert len(made._pairs) <= BOUNDS.open_pairs
    assert len(made.heavy) == 3
    pulse = view(made, SALT)
    assert len(pulse.tasks) <= BOUNDS.tasks + 2
    assert len(pulse.dead) <= BOUNDS.reasons + 1
    assert len(pulse.rules) == 1
    assert len(pulse.model_dump_json()) < 60_000
    assert "user " not in pulse.model_dump_json()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FIELDS | st.text(max_size=5), inner, max_size=6),
    max_leaves=10,
)


@given(
    st.sampled_from(FOLLOWED),
    st.binary(max_size=40) | _JSON.map(lambda value: json.dumps(value).encode()) | st.none(),
    st.none() | st.binary(max_size=8),
    st.lists(st.tuples(_HEADERS | st.text(max_size=8), st.binary(max_size=12)), max_size=4),
    st.none() | st.floats(0.001, 253_402_300_799.0),
)
def test_nothing_that_lies_on_a_topic_breaks_it(
    topic: str, value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes]], at: float | None
) -> None:
    record = Record(topic, 0, 0, at, key, value, tuple(headers))
    made, recent = fold([]), Recent(10_000)
    said = read(record)
    made.take(record, said)
    recent.take(record, said)
    view(made, SALT).model_dump_json()
    user = None if key is None else key.decode("utf-8", "replace")
    follow(recent.records(None, user), None, Gate(), texts=True, whole=True).model_dump_json()


def test_clocks_that_differ_are_told_and_cost_no_figure() -> None:
    made = fold([])
    one = _made(scene_id="d:1")
    made.take(_record(topics.SCENES, 1, NOW - 5, "u"), _scene(one, None))
    made.take(_record(topics.READY, 1, NOW - 9, "u"), one)
    made.take(_record(topics.READY, 2, NOW + 3600, "u"), _made(scene_id="d:2"))
    made.take(_record(topics.READY, 3, NOW - 3600, "u"), _made(scene_id="d:3"))
    made.take(Record(topics.READY, 0, 4, None, b"u", b"{}", ()), _made(scene_id="d:4"))
    made.take(_record(topics.READY, 5, NOW, "u"), None)
    pulse = view(made, SALT)
    assert (pulse.ahead, pulse.late, pulse.timeless, pulse.unread) == (1, 1, 1, 1)
    assert pulse.verdicts.final == 3
    assert (pulse.stages[0].skewed, pulse.stages[0].age.p50_seconds) == (1, 0.0)
    assert pulse.moments[-1].verdicts.final == 2


def test_a_producer_of_a_million_keys_takes_no_more_memory_than_is_said() -> None:
    pairs, keys = Pairs[int](1000), HeavyKeys(10.0, 6, 32, NOW)
    for number in range(1_000_000):
        pairs.meet(("resonance", f"s{number}"), "came", number)
    assert (len(pairs), len(pairs._waiting), pairs.let_go) == (1000, 1000, 999_000)
    # One name a million times is no way round it.
    for number in range(1_000_000):
        pairs.meet("again", "came", number)
    assert (len(pairs), len(pairs._waiting)) == (1000, 1)
    assert pairs.meet("again", "went", 0) == 999_000
    for number in range(100_000):
        keys.add(f"k{number}", NOW - number % 50)
    assert keys.total == 100_000
    assert len(keys.heaviest(10**6)) <= 6 * 32


@pytest.mark.parametrize("text", ["k", "\N{CROCODILE}"])
def test_the_latest_records_take_no_more_memory_than_they_may(text: str) -> None:
    most = 4 * 2**20
    recent = Recent(most)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(6000):
            # Little in the value, much in all that is beside it.
            name = f"{number}{text * 300}"
            headers = tuple((f"{place}{name[:100]}", b"x" * 40) for place in range(number % 8))
            record = Record(topics.SCENES, 0, number, NOW, name.encode(), b"{}" * 10, headers)
            recent.take(record, SceneSeen(name, name, None, 0, "fresh", None))
            del record, name, headers
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert recent.let_go
    assert len(recent) > 400
    assert taken <= most

"""One pass over the decisions of a run: everything the report shows, in memory that does not grow with the run.

Bins, counters of fixed vocabularies, the top few of the rest. What a healed scene was before it was healed is
remembered only while the scene is on its way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from pydantic import ValidationError

from schemas.decision import AccountName, Decision
from schemas.names import Origin, Register, Verdict
from streams.replay.report.healings import Candidates
from streams.replay.report.ledgers import LedgerCell, LedgerPoint, Tightest
from streams.replay.report.sketches import Frequent, Histogram, Timeline

Outcome = Literal["ready", "regenerated", "bridged", "withheld", "reasoning"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
ACCOUNTS: tuple[AccountName, ...] = get_args(AccountName)
READY_OUTCOMES = frozenset({"ready", "regenerated", "bridged"})

# Lowest and highest value shown of each part; what lies beyond is counted at the edge.
PART_RANGES: dict[str, tuple[float, float]] = {
    "intent": (0.0, 1.0),
    "fidelity": (-0.2, 1.0),
    "field": (0.0, 1.0),
    "activation": (0.0, 1.0),
    "depth": (0.0, 1.0),
    "tension": (0.0, 1.0),
    "density": (0.0, 12.0),
    "gain": (-0.2, 1.0),
}
PART_BINS = 24
_MOST_IN_FLIGHT = 50_000
_MOST_KINDS = 24


@dataclass(slots=True)
class Stretch:
    """What happened over one stretch of the run."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    ledger: dict[AccountName, LedgerCell] = field(default_factory=lambda: {name: LedgerCell() for name in ACCOUNTS})


def merge_stretches(left: Stretch, right: Stretch) -> Stretch:
    """Return `left` with what happened in its right neighbour added."""
    left.outcomes.update(right.outcomes)
    for name, cell in right.ledger.items():
        left.ledger[name].merge(cell)
    return left


@dataclass(slots=True)
class HealingStats:
    """The healings of one route and strength: how they were judged, and numbers before and after."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    resonance_before: Histogram = field(default_factory=lambda: Histogram(0.0, 1.0, 100))
    resonance_after: Histogram = field(default_factory=lambda: Histogram(0.0, 1.0, 100))
    intent_before: Histogram = field(default_factory=lambda: Histogram(0.0, 1.0, 100))
    fidelity_before: Histogram = field(default_factory=lambda: Histogram(-0.2, 1.0, 120))
    fidelity_after: Histogram = field(default_factory=lambda: Histogram(-0.2, 1.0, 120))
    gain_ready: Histogram = field(default_factory=lambda: Histogram(-0.2, 1.0, 120))
    gain_other: Histogram = field(default_factory=lambda: Histogram(-0.2, 1.0, 120))


@dataclass(slots=True)
class RunData:
    """Everything the report shows of a run's decisions."""

    strict: bool = False
    decisions: int = 0
    unreadable: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    strengths: Counter[str] = field(default_factory=Counter)
    authored: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    flow: Counter[tuple[Origin, Verdict]] = field(default_factory=Counter)
    rules: dict[tuple[Verdict, str], int] = field(default_factory=dict)
    rule_examples: dict[tuple[Verdict, str], str] = field(default_factory=dict)
    timeline: Timeline[Stretch] = field(default_factory=lambda: Timeline(Stretch, merge_stretches))
    resonance: dict[Verdict, Histogram] = field(
        default_factory=lambda: {verdict: Histogram(0.0, 1.0, 40) for verdict in Verdict}
    )
    thresholds: Histogram = field(default_factory=lambda: Histogram(-0.5, 1.5, 400))
    healings: dict[tuple[str, str | None], HealingStats] = field(default_factory=dict)
    swaps: Frequent[tuple[str, str]] = field(default_factory=Frequent)
    registers: Counter[tuple[Outcome, Register | None]] = field(default_factory=Counter)
    register_moves: Counter[tuple[Register | None, Register | None]] = field(default_factory=Counter)
    tightest: dict[AccountName, Tightest] = field(default_factory=lambda: {name: Tightest() for name in ACCOUNTS})
    parts: dict[str, tuple[Histogram, Histogram]] = field(
        default_factory=lambda: {
            name: (Histogram(*limits, PART_BINS), Histogram(*limits, PART_BINS)) for name, limits in PART_RANGES.items()
        }
    )
    spoilt: dict[str, Counter[Outcome]] = field(default_factory=dict)
    candidates: Candidates = field(default_factory=Candidates)
    in_flight: dict[str, Decision] = field(default_factory=dict)

    @property
    def scenes(self) -> int:
        """How many scenes came to a final decision."""
        return self.outcomes.total()


def outcome_of(decision: Decision) -> Outcome:
    """Return what became of a scene by its final decision; healed scenes that are ready count by their route."""
    if decision.verdict is Verdict.READY:
        if decision.healing is None:
            return "ready"
        return "regenerated" if decision.healing.route == "regeneration" else "bridged"
    return "reasoning" if decision.verdict is Verdict.REASONING else "withheld"


def aggregate(lines: Iterable[bytes | str], *, strict: bool) -> RunData:
    """Return the data of a run from the lines of its decisions.jsonl, read once.

    `strict` says that an unlabelled scene is held as an error (mode `strict`) rather than at its expected error. A line
    that is no decision, such as one cut off by a crash, is counted in `unreadable` and passed over.
    """
    data = RunData(strict=strict)
    for line in lines:
        if not line.strip():
            continue
        try:
            decision = Decision.model_validate_json(line)
        except ValidationError:
            data.unreadable += 1
            continue
        add_decision(data, decision)
    return data


def add_decision(data: RunData, decision: Decision) -> None:
    """Count one decision into `data`."""
    stretch = data.timeline.at(data.scenes)
    data.decisions += 1
    data.flow[decision.origin, decision.verdict] += 1
    data.flags.update(decision.flags)
    _add_ledger(data, stretch, decision)
    if decision.origin is Origin.FRESH:
        data.resonance[decision.verdict].add(decision.resonance)
        data.thresholds.add(decision.threshold)
    else:
        _add_healing(data, decision)
    if decision.final:
        data.in_flight.pop(decision.scene_id, None)
        _add_final(data, stretch, decision)
    elif decision.origin is Origin.FRESH:
        data.in_flight[decision.scene_id] = decision
        if len(data.in_flight) > _MOST_IN_FLIGHT:
            del data.in_flight[next(iter(data.in_flight))]


def _add_final(data: RunData, stretch: Stretch, decision: Decision) -> None:
    outcome = outcome_of(decision)
    data.outcomes[outcome] += 1
    stretch.outcomes[outcome] += 1
    data.registers[outcome, decision.register] += 1
    _add_rule(data, decision)
    is_ready = outcome in READY_OUTCOMES
    for name, (ready, other) in data.parts.items():
        value = getattr(decision.parts, name)
        if name == "gain" and value is None and decision.healing is not None:
            value = decision.healing.gain
        (ready if is_ready else other).add(value)
    if decision.spoilt is not None:
        kind = decision.spoilt if decision.spoilt in data.spoilt or len(data.spoilt) < _MOST_KINDS else "other kinds"
        data.spoilt.setdefault(kind, Counter())[outcome] += 1
    if decision.healing is not None:
        data.candidates.add(decision)
        if outcome == "bridged":
            data.strengths[decision.healing.strength or "unnamed"] += 1
            data.authored += decision.healing.source == "authored"


def _add_rule(data: RunData, decision: Decision) -> None:
    key = (decision.verdict, decision.rule)
    if key not in data.rules and len(data.rules) >= _MOST_KINDS:
        key = (decision.verdict, "other rules")
    data.rules[key] = data.rules.get(key, 0) + 1
    data.rule_examples.setdefault(key, decision.reason)


def _add_ledger(data: RunData, stretch: Stretch, decision: Decision) -> None:
    ledger = decision.ledger
    point = LedgerPoint(
        key=decision.key,
        position=data.scenes,
        offered=ledger.offered,
        emitted=ledger.emitted,
        errors=ledger.errors,
        pending=ledger.pending,
        held=ledger.errors + (ledger.pending if data.strict else ledger.expected),
        bound=ledger.bound,
    )
    stretch.ledger[ledger.account].add(point)
    data.tightest[ledger.account].add(point)


def _add_healing(data: RunData, decision: Decision) -> None:
    healing = decision.healing
    if healing is None:
        return
    stats = data.healings.setdefault((healing.route, healing.strength), HealingStats())
    stats.verdicts[decision.verdict] += 1
    before = data.in_flight.get(decision.scene_id)
    if before is not None:
        stats.resonance_before.add(before.resonance)
        stats.intent_before.add(before.parts.intent)
        stats.fidelity_before.add(before.parts.fidelity)
    stats.resonance_after.add(decision.resonance)
    stats.fidelity_after.add(healing.fidelity)
    (stats.gain_ready if decision.verdict is Verdict.READY else stats.gain_other).add(healing.gain)
    for swap in healing.swaps:
        data.swaps.add((swap.old, swap.new), swap.closeness)
    if healing.route == "regeneration":
        data.register_moves[healing.from_register, decision.register] += 1

"""The adaptive filter, before generation: a table of conditions, in order, each with its verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.names import Origin, Verdict
from streams.stages.policy import Gate, Routes


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a verdict depends on; None where a fact does not apply to the scene's origin.

    `bare` says that the scene came as a chain alone, without a draft or its embedding.
    """

    origin: Origin
    theta: float
    p_form: float | None
    p_intent: float
    fidelity: float
    gain: float | None
    activated: bool
    healings: int
    bare: bool
    gate: Gate
    routes: Routes

    @property
    def healings_left(self) -> bool:
        """Whether the scene may be healed once more."""
        return self.healings < self.gate.max_healings


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table: for scenes of `origin`, where `when` holds, `verdict` because `says`."""

    name: str
    origin: Origin
    when: Callable[[Facts], bool]
    verdict: Verdict
    says: str


def _resonates(facts: Facts) -> bool:
    return facts.p_form is not None and facts.p_form >= facts.theta


def _means_well(facts: Facts) -> bool:
    return facts.p_intent >= facts.gate.intent_min


def _can_switch(facts: Facts) -> bool:
    return _means_well(facts) and not facts.bare and facts.routes.regeneration and facts.healings_left


def _is_bare(facts: Facts) -> bool:
    return _means_well(facts) and facts.bare and _can_cross(facts)


def _can_only_cross(facts: Facts) -> bool:
    return _means_well(facts) and _can_cross(facts)


def _can_cross(facts: Facts) -> bool:
    return facts.routes.bridge and facts.healings_left


def _is_faithful(facts: Facts) -> bool:
    return facts.fidelity >= facts.gate.fidelity_min


def _gains(facts: Facts) -> bool:
    return facts.gain is not None and facts.gain >= facts.gate.gain_min


def _nothing_activated(facts: Facts) -> bool:
    return not facts.activated


def _always(_: Facts) -> bool:
    return True


FRESH, REGENERATED, BRIDGED = Origin.FRESH, Origin.REGENERATION, Origin.BRIDGE
READY, WITHHELD, REASONING = Verdict.READY, Verdict.WITHHELD, Verdict.REASONING
REGENERATE, ANALOGUE = Verdict.REGENERATE, Verdict.ANALOGUE

# fmt: off
RULES: tuple[Rule, ...] = (
    Rule("fresh.resonates",       FRESH,       _resonates,         READY,      "resonance {p_form:.3f} reaches the threshold {theta:.3f}"),
    Rule("fresh.meaning_right",   FRESH,       _can_switch,        REGENERATE, "resonance {p_form:.3f} is under the threshold {theta:.3f}, its meaning is right (intent {p_intent:.3f})"),
    Rule("fresh.chain_alone",     FRESH,       _is_bare,           ANALOGUE,   "resonance {p_form:.3f} is under the threshold {theta:.3f}, its meaning is right (intent {p_intent:.3f}) but a chain alone has no embedding to hold in another register"),
    Rule("fresh.voices_closed",   FRESH,       _can_only_cross,    ANALOGUE,   "resonance {p_form:.3f} is under the threshold {theta:.3f}, its meaning is right (intent {p_intent:.3f}) but regeneration is closed"),
    Rule("fresh.meaning_weak",    FRESH,       _can_cross,         ANALOGUE,   "resonance {p_form:.3f} is under the threshold {theta:.3f}, its meaning is weak (intent {p_intent:.3f})"),
    Rule("fresh.no_route",        FRESH,       _always,            WITHHELD,   "resonance {p_form:.3f} is under the threshold {theta:.3f} and no way of healing is open"),
    Rule("regenerated.faithful",  REGENERATED, _is_faithful,       READY,      "in the new register it keeps its meaning (fidelity {fidelity:.3f})"),
    Rule("regenerated.strayed",   REGENERATED, _can_cross,         ANALOGUE,   "in the new register it loses its meaning (fidelity {fidelity:.3f})"),
    Rule("regenerated.no_route",  REGENERATED, _always,            WITHHELD,   "in the new register it loses its meaning (fidelity {fidelity:.3f}) and no other way is open"),
    Rule("bridged.gains",         BRIDGED,     _gains,             READY,      "the new chain is expected to hold (gain {gain:.3f})"),
    Rule("bridged.nothing_alive", BRIDGED,     _nothing_activated, REASONING,  "nothing in context or memory answers to it: think again (gain {gain:.3f})"),
    Rule("bridged.gains_little",  BRIDGED,     _always,            WITHHELD,   "no chain is expected to hold (best gain {gain:.3f})"),
)
# fmt: on


def decide(facts: Facts) -> Rule:
    """Return the first rule of the table that holds; there always is one."""
    return next(rule for rule in RULES if rule.origin is facts.origin and rule.when(facts))


def explain(rule: Rule, facts: Facts) -> str:
    """Return why the rule held, with the numbers it held by."""
    return rule.says.format(
        p_form=0.0 if facts.p_form is None else facts.p_form,
        theta=facts.theta,
        p_intent=facts.p_intent,
        fidelity=facts.fidelity,
        gain=0.0 if facts.gain is None else facts.gain,
    )

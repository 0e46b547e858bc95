from __future__ import annotations

import itertools

import pytest

from schemas.names import Origin, Verdict
from streams.cli import summary
from streams.replay.report import words
from streams.stages.filter import RULES, Facts, Rule, decide, explain
from streams.stages.policy import Gate, Routes

FRESH, REGENERATED, BRIDGED = Origin.FRESH, Origin.REGENERATION, Origin.BRIDGE


def facts(origin: Origin, **fields: object) -> Facts:
    given: dict[str, object] = {
        "origin": origin,
        "theta": 0.5,
        "p_form": 0.2 if origin is FRESH else None,
        "p_intent": 0.2,
        "fidelity": 0.2,
        "gain": 0.1 if origin is BRIDGED else None,
        "activated": True,
        "healings": {FRESH: 0, REGENERATED: 1, BRIDGED: 1}[origin],
        "bare": False,
        "gate": Gate(),
        "routes": Routes(),
    }
    return Facts(**(given | fields))  # type: ignore[arg-type]


# The design's table: where the scene comes from, the condition, the verdict; from the first of closed routes on, what
# is left when a route is closed or the healings are spent.
TABLE = [
    (FRESH, {"p_form": 0.5}, Verdict.READY),
    (FRESH, {"p_form": 0.4999, "p_intent": 0.5}, Verdict.REGENERATE),
    (FRESH, {"p_form": 0.4999, "p_intent": 0.4999}, Verdict.ANALOGUE),
    (REGENERATED, {"fidelity": 0.35}, Verdict.READY),
    (REGENERATED, {"fidelity": 0.3499}, Verdict.ANALOGUE),
    (BRIDGED, {"gain": 0.3}, Verdict.READY),
    (BRIDGED, {"gain": 0.3, "activated": False}, Verdict.READY),
    (BRIDGED, {"gain": 0.2999, "activated": False}, Verdict.REASONING),
    (BRIDGED, {"gain": 0.2999}, Verdict.WITHHELD),
    (FRESH, {"p_intent": 0.9, "routes": Routes(regeneration=False)}, Verdict.ANALOGUE),
    (FRESH, {"p_intent": 0.9, "bare": True}, Verdict.ANALOGUE),
    (FRESH, {"p_form": 0.5, "bare": True}, Verdict.READY),
    (FRESH, {"p_intent": 0.9, "bare": True, "routes": Routes(bridge=False)}, Verdict.WITHHELD),
    (FRESH, {"p_intent": 0.9, "routes": Routes(bridge=False)}, Verdict.REGENERATE),
    (FRESH, {"p_intent": 0.1, "routes": Routes(bridge=False)}, Verdict.WITHHELD),
    (FRESH, {"p_intent": 0.9, "gate": Gate(max_healings=0)}, Verdict.WITHHELD),
    (REGENERATED, {"routes": Routes(bridge=False)}, Verdict.WITHHELD),
    (REGENERATED, {"gate": Gate(max_healings=1)}, Verdict.WITHHELD),
    (REGENERATED, {"healings": 2}, Verdict.WITHHELD),
    (REGENERATED, {"healings": 2, "fidelity": 0.4}, Verdict.READY),
]


@pytest.mark.parametrize(("origin", "fields", "verdict"), TABLE)
def test_the_table_is_that_of_the_design(origin: Origin, fields: dict[str, object], verdict: Verdict) -> None:
    assert decide(facts(origin, **fields)).verdict is verdict


def test_the_rows_stand_in_the_order_of_the_design() -> None:
    assert [(rule.origin, rule.verdict, rule.name) for rule in RULES] == [
        (FRESH, Verdict.READY, "fresh.resonates"),
        (FRESH, Verdict.REGENERATE, "fresh.meaning_right"),
        (FRESH, Verdict.ANALOGUE, "fresh.chain_alone"),
        (FRESH, Verdict.ANALOGUE, "fresh.voices_closed"),
        (FRESH, Verdict.ANALOGUE, "fresh.meaning_weak"),
        (FRESH, Verdict.WITHHELD, "fresh.no_route"),
        (REGENERATED, Verdict.READY, "regenerated.faithful"),
        (REGENERATED, Verdict.ANALOGUE, "regenerated.strayed"),
        (REGENERATED, Verdict.WITHHELD, "regenerated.no_route"),
        (BRIDGED, Verdict.READY, "bridged.gains"),
        (BRIDGED, Verdict.REASONING, "bridged.nothing_alive"),
        (BRIDGED, Verdict.WITHHELD, "bridged.gains_little"),
    ]


def test_every_way_to_silence_and_back_has_words_for_a_person() -> None:
    named = {rule.name for rule in RULES if rule.verdict in {Verdict.WITHHELD, Verdict.REASONING}}
    assert named | {"ledger.drafts", "ledger.healed"} == set(words.RULES)
    assert named - {"bridged.nothing_alive"} <= set(summary.WITHHELD)


def test_resonance_never_judges_a_healed_scene() -> None:
    for origin, p_form in itertools.product((REGENERATED, BRIDGED), (None, 0.0, 1.0)):
        assert decide(facts(origin, p_form=p_form)) is decide(facts(origin))


def all_facts() -> list[Facts]:
    made = []
    for origin in Origin:
        for fit, intent, alive, healings, open_routes in itertools.product(
            (0.0, 0.3, 0.35, 0.5, 1.0), (0.0, 0.5), (True, False), (0, 1, 2), itertools.product((True, False), repeat=2)
        ):
            fields = {
                "p_form": fit if origin is FRESH else None,
                "p_intent": intent,
                "fidelity": fit,
                "gain": fit if origin is BRIDGED else None,
                "activated": alive,
                "healings": healings,
                "bare": not alive,
                "routes": Routes(regeneration=open_routes[0], bridge=open_routes[1]),
            }
            made.append(facts(origin, **fields))
    return made


def test_every_scene_meets_a_rule_and_every_rule_a_scene() -> None:
    met = {decide(one).name for one in all_facts()}
    assert met == {rule.name for rule in RULES}


def test_reasons_are_one_line_and_tell_no_lies() -> None:
    for one in all_facts():
        rule = decide(one)
        reason = explain(rule, one)
        assert reason
        assert "\n" not in reason
        assert "{" not in reason
        if one.origin is FRESH:
            assert ("meaning is right" in reason) <= (one.p_intent >= one.gate.intent_min)
            assert ("meaning is weak" in reason) <= (one.p_intent < one.gate.intent_min)


def test_healings_are_bounded_by_the_rules_themselves() -> None:
    for one in all_facts():
        if one.healings >= one.gate.max_healings:
            assert decide(one).verdict not in {Verdict.REGENERATE, Verdict.ANALOGUE}


def test_a_rule_is_a_value() -> None:
    rule = RULES[0]
    assert Rule(rule.name, rule.origin, rule.when, rule.verdict, rule.says) == rule

from __future__ import annotations

import pytest
from builders import candidate, chain, judged, policy, reading, row, scene

from schemas.names import Origin
from schemas.scene import Scene
from streams.stages import bridge
from streams.stages.policy import Routes


def onward() -> Scene:
    judgement = judged(scene(register="dry"), reading(p_form=0.1, intent=0.1), row(), policy())
    assert judgement.onward is not None
    return judgement.onward


def test_the_highest_gain_wins_and_of_equals_the_first() -> None:
    low, high = candidate("a", gain=0.2), candidate("b", gain=0.4)
    assert bridge.choose([low, high, candidate("c", gain=0.4)], Routes()) is high


def test_authored_pairs_can_be_switched_off() -> None:
    blend, authored = candidate("a", gain=0.2), candidate("b", gain=0.9, source="authored")
    assert bridge.choose([blend, authored], Routes()) is authored
    assert bridge.choose([blend, authored], Routes(authored=False)) is blend


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("ab", "ab", "amplified"), ("ab", "bac", "amplified"), ("ab", "ac", "partial"), ("abc", "a", "partial"),
        ("ab", "cd", "full"), ("a", "a", "amplified"),
    ],
)  # fmt: skip
def test_a_bridge_is_named_by_how_much_of_the_chain_survived(old: str, new: str, named: str) -> None:
    assert bridge.strength(old, new) == named


def test_the_closest_pair_is_made_first() -> None:
    swaps = bridge.pair("abc", "xyz", [[0.5, 0.9, 0.1], [0.4, 0.8, 0.2], [0.3, 0.0, 0.7]])
    assert [(swap.old, swap.new, swap.closeness) for swap in swaps] == [
        ("a", "y", 0.9), ("c", "z", 0.7), ("b", "x", 0.4),
    ]  # fmt: skip


def test_what_stays_is_not_paired_and_what_is_left_over_neither() -> None:
    closeness = [[0.1] * 4] * 4
    assert bridge.pair("ab", "ab", closeness) == ()
    assert [(swap.old, swap.new) for swap in bridge.pair("abc", "cx", closeness)] == [("a", "x")]
    assert [(swap.old, swap.new) for swap in bridge.pair("a", "xyz", closeness)] == [("a", "x")]


def test_the_best_chain_takes_the_place_of_the_old_one() -> None:
    before = onward()
    healed = bridge.bridge(before, [candidate("entrance", "tension", gain=0.35, nearest_reply="Sit down.")], Routes())
    assert (healed.origin, healed.attempt, healed.register) == (Origin.BRIDGE, 1, "dry")
    assert healed.embedding == before.embedding
    assert healed.healing is not None
    assert healed.healing.before == chain()
    assert (healed.healing.strength, healed.healing.gain, healed.healing.nearest_reply) == (
        "partial",
        0.35,
        "Sit down.",
    )
    assert [(swap.old, swap.new) for swap in healed.healing.swaps] == [("vagueness", "tension")]
    assert [step.rule for step in healed.lineage] == ["fresh.meaning_weak", "partial blend"]
    assert Scene.model_validate_json(healed.model_dump_json()) == healed

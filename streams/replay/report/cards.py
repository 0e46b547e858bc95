"""One healing in full: the chain before beside the chain after, and everything it was judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.decision import Decision, Parts
from schemas.names import Verdict
from schemas.scene import Code, Healing, Swap
from streams.replay.report.data import Outcome
from streams.replay.report.healings import Texts


@dataclass(frozen=True, slots=True)
class Pair:
    """One line of a chain before and after: a swap, a code that was kept, or codes that came and went."""

    old: Code | None
    new: Code | None
    closeness: float | None
    kept: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One healing in full."""

    decision: Decision
    healing: Healing
    title: str
    outcome: Outcome
    texts: Texts | None
    pairs: tuple[Pair, ...]
    heaviest: float
    judged_by: str
    score: float
    resonance_before: float | None
    parts: tuple[tuple[str, float], ...]


def healing_card(decision: Decision, texts: Mapping[str, Texts] | None) -> Card:
    """Return one healing with everything a reader needs to judge it; `decision` is the final one of a healed scene."""
    healing = decision.healing
    if healing is None:
        raise ValueError(f"scene {decision.scene_id} was not healed")
    if healing.route == "regeneration":
        title = f"Regeneration into {decision.register or 'no register'}"
        outcome: Outcome = "regenerated"
    else:
        title = f"Bridge, {healing.strength or 'unnamed'}"
        outcome = "bridged"
    if decision.verdict is not Verdict.READY:
        outcome = "reasoning" if decision.verdict is Verdict.REASONING else "withheld"
    judged_by = "fidelity" if healing.gain is None else "gain"
    weights = [code.weight for code in (*healing.before, *decision.chain)]
    return Card(
        decision=decision,
        healing=healing,
        title=title,
        outcome=outcome,
        texts=None if texts is None else texts.get(decision.scene_id),
        pairs=pair_codes(healing.before, decision.chain, healing.swaps),
        heaviest=max([weight for weight in weights if weight > 0], default=1.0),
        judged_by=judged_by,
        score=healing.fidelity if healing.gain is None else healing.gain,
        resonance_before=next((step.resonance for step in decision.lineage if step.resonance is not None), None),
        parts=tuple(
            (name, value)
            for name in Parts.model_fields
            if name != judged_by and (value := getattr(decision.parts, name)) is not None
        ),
    )


def pair_codes(before: tuple[Code, ...], after: tuple[Code, ...], swaps: tuple[Swap, ...]) -> tuple[Pair, ...]:
    """Return the lines of a chain before and after: swaps first, then what was kept, then what came or went."""
    old = {code.code: code for code in before}
    new = {code.code: code for code in after}
    pairs = [
        Pair(old.pop(swap.old, None), new.pop(swap.new, None), swap.closeness, kept=swap.old == swap.new)
        for swap in swaps
        if swap.old in old or swap.new in new
    ]
    kept = [name for name in old if name in new]
    pairs += [Pair(old.pop(name), new.pop(name), None, kept=True) for name in kept]
    gone, come = list(old.values()), list(new.values())
    for index in range(max(len(gone), len(come))):
        pairs.append(
            Pair(
                gone[index] if index < len(gone) else None, come[index] if index < len(come) else None, None, kept=False
            )
        )
    return tuple(pairs)

"""Preferences: which register a listener likes and how brief, learnt from what was accepted or told outright."""

from __future__ import annotations

from typing import TypeVar

from schemas.feedback import Preference
from schemas.names import REGISTERS, Register
from schemas.sensitivity import DialogueRow, Sensitivity

Level = TypeVar("Level", Sensitivity, DialogueRow)
CONDENSED_BREVITY = 0.5


def likes(row: Sensitivity, dialogue: DialogueRow) -> tuple[float, ...]:
    """Return how much each register is liked here: whichever of dialogue and user says more."""
    return tuple(max(pair) for pair in zip(row.likes, dialogue.likes, strict=True))


def brevity(row: Sensitivity, dialogue: DialogueRow) -> float:
    """Return how brief it should be, 0 to 1: whichever of dialogue and user says more."""
    return max(row.brevity, dialogue.brevity)


def codes_wanted(row: Sensitivity, dialogue: DialogueRow, codes: int) -> int:
    """Return the length of a chain for this listener: all `codes` down to one at full brevity."""
    return max(1, round(codes - (codes - 1) * brevity(row, dialogue)))


def accept(level: Level, register: Register | None, brevity_of_scene: float, weight: float) -> Level:
    """Return the level after a scene of this register and brevity was accepted: an average of weight `weight`."""
    liked = level.likes
    if register is not None:
        liked = tuple(
            round(old + weight * (float(name == register) - old), 6)
            for name, old in zip(REGISTERS, level.likes, strict=True)
        )
    brief = round(level.brevity + weight * (brevity_of_scene - level.brevity), 6)
    return level.model_copy(update={"likes": liked, "brevity": brief})


def tell(level: Level, preference: Preference) -> Level:
    """Return the level after the listener said what they like: it counts in full at once."""
    update: dict[str, object] = {}
    if preference.register is not None:
        update["likes"] = tuple(float(name == preference.register) for name in REGISTERS)
    if preference.brevity is not None:
        update["brevity"] = preference.brevity
    return level.model_copy(update=update)


def brevity_of(codes: int, most: int) -> float:
    """Return how brief a chain of `codes` is, 0 (all `most` of them) to 1 (a single code)."""
    return 0.0 if most <= 1 else max(0.0, (most - codes) / (most - 1))

"""The fixed vocabulary of the wire: registers, roles, verdicts, origins, and where the topics are."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args

Register = Literal["dry", "poetic", "bodily", "symbolic"]
REGISTERS: tuple[Register, ...] = get_args(Register)

Role = Literal["user", "assistant", "system"]
ROLES: tuple[Role, ...] = get_args(Role)


class Verdict(StrEnum):
    """What becomes of a scene at one attempt; the first three are final."""

    READY = "ready"
    WITHHELD = "withheld"
    REASONING = "reasoning"
    REGENERATE = "regenerate"
    ANALOGUE = "analogue"


FINAL_VERDICTS = frozenset({Verdict.READY, Verdict.WITHHELD, Verdict.REASONING})


class Origin(StrEnum):
    """Where a scene comes from when it reaches the resonance stage."""

    FRESH = "fresh"
    REGENERATION = "regeneration"
    BRIDGE = "bridge"

"""The numbers a gate decides by, with the defaults of the design; settings fill them in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Cosine, Frozen, Unit

Mode = Literal["strict", "expected", "off", "observe"]
Positive = Annotated[float, Field(gt=0.0)]
Clip = Annotated[tuple[float, float], Field(description="lowest, highest shift of the threshold")]


class Gate(Frozen):
    """When a scene passes: thresholds, the promise about errors, and how fast the gate learns.

    `strict` counts an unlabelled scene as an error until its label comes or it expires; `expected` counts its
    calibrated risk; `off` keeps the thresholds and drops the promise; `observe` decides everything and gates nothing:
    every scene is ready as it came, and what was decided is told.
    """

    mode: Mode = "expected"
    theta0: Unit = 0.5
    alpha: Unit = 0.10
    alpha_healed: Unit = 0.40
    slack: Annotated[float, Field(ge=0.0)] = 3.0
    rho: Unit = 0.01
    expiry_turns: Annotated[int, Field(ge=1, le=256)] = 12
    eta_user: Positive = 0.01
    eta_dialogue: Positive = 0.05
    clip_user: Clip = (-0.4, 0.4)
    clip_dialogue: Clip = (-0.3, 0.5)
    intent_min: Unit = 0.5
    gain_min: Cosine = 0.30
    fidelity_min: Cosine = 0.35
    max_healings: Annotated[int, Field(ge=0, le=2)] = 2
    preference_weight: Unit = 0.1
    preference_shift: Annotated[float, Field(ge=0.0, le=0.05)] = 0.05
    strong_field: Unit = 0.15
    codes: Annotated[int, Field(ge=1, le=5)] = 3


class Routes(Frozen):
    """Which ways of healing are open."""

    regeneration: bool = True
    bridge: bool = True
    authored: bool = True


class Priors(Frozen):
    """A frozen snapshot of what tasks taught earlier runs: shifts of the threshold, by task and for all."""

    version: Annotated[int, Field(ge=0)] = 0
    everyone: float = 0.0
    tasks: Mapping[str, float] = Field(default_factory=dict)

    def shift(self, task: str | None) -> float:
        """Return the shift for `task`; a task that is not known gets everyone's."""
        return self.everyone if task is None else self.tasks.get(task, self.everyone)


class Policy(Frozen):
    """All that the stages decide by."""

    gate: Gate = Gate()
    routes: Routes = Routes()
    priors: Priors = Priors()

"""Regeneration: meaning right, words wrong. The same embedding is decomposed again in another register."""

from __future__ import annotations

from schemas.names import REGISTERS, Origin, Register
from schemas.scene import Healing, Scene, Step
from schemas.sensitivity import Sensitivity
from streams.stages import preferences, rows
from streams.stages.reading import Rendering


def choose_register(scene: Scene, row: Sensitivity) -> Register:
    """Return the register to switch on: of those the scene is not in, the one this dialogue likes best."""
    liked = preferences.likes(row, rows.dialogue_of(row, scene.dialogue_id))
    others = [name for name in REGISTERS if name != scene.register]
    return max(others, key=lambda name: (liked[REGISTERS.index(name)], -REGISTERS.index(name)))


def regenerate(scene: Scene, rendering: Rendering) -> Scene:
    """Return the scene with its meaning held in another register, on its way back to be judged."""
    healing = Healing(
        route="regeneration",
        before=scene.chain or (),
        from_register=scene.register,
        symbols=rendering.symbols,
        fidelity=rendering.fidelity,
        risk=rendering.risk,
    )
    step = Step(
        stage="regeneration",
        attempt=scene.attempt,
        outcome="healed",
        rule=f"switched to {rendering.register}",
        register=rendering.register,
        codes=tuple(code.code for code in rendering.chain),
    )
    return scene.model_copy(
        update={
            "attempt": scene.attempt + 1,
            "origin": Origin.REGENERATION,
            "chain": rendering.chain,
            "register": rendering.register,
            "healing": healing,
            "lineage": (*scene.lineage, step),
            "wanted": None,
        }
    )

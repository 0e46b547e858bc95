"""Regeneration: meaning right, words wrong. The same embedding is decomposed again in another register."""

from __future__ import annotations

from schemas.names import REGISTERS, Register
from schemas.scene import Healing, Scene
from schemas.sensitivity import Sensitivity
from streams.stages import preferences, rows
from streams.stages.homeward import send_back
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
    rule = f"switched to {rendering.register}"
    return send_back(scene, healing, rendering.chain, rendering.register, rule)

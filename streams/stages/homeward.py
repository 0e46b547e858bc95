"""The way back: what a healing made of a scene, on its way to be judged again."""

from __future__ import annotations

from schemas.names import Origin, Register
from schemas.scene import Chain, Healing, Scene, Step


def send_back(scene: Scene, healing: Healing, chain: Chain, register: Register | None, rule: str) -> Scene:
    """Return the scene with its new chain and register, one attempt and one step of its lineage further."""
    step = Step(
        stage=healing.route,
        attempt=scene.attempt,
        outcome="healed",
        rule=rule,
        register=register,
        codes=tuple(code.code for code in chain),
    )
    return scene.model_copy(
        update={
            "attempt": scene.attempt + 1,
            "origin": Origin(healing.route),
            "chain": chain,
            "register": register,
            "healing": healing,
            "lineage": (*scene.lineage, step),
            "wanted": None,
        }
    )

"""Wanting: what a listener's row asks of a healing, read when the scene is judged, so that healing needs no row."""

from __future__ import annotations

from schemas.names import Verdict
from schemas.scene import Scene, Wanted
from schemas.sensitivity import Sensitivity
from streams.stages import preferences, regeneration, rows


def want(scene: Scene, row: Sensitivity, verdict: Verdict, codes: int) -> Wanted:
    """Return the register to switch on (None where the scene keeps its own) and how many of `codes` to say it in."""
    wanted = preferences.codes_wanted(row, rows.dialogue_of(row, scene.dialogue_id), codes)
    if verdict is Verdict.REGENERATE:
        return Wanted(register=regeneration.choose_register(scene, row), codes=wanted)
    return Wanted(register=scene.register, codes=wanted)

"""The tuner: where the threshold stands for a user and a dialogue, moved by first labels.

theta = theta0 + prior + sum over user and dialogue of clip(eta z), with z += e - alpha on the first label e of a scene
(adaptive conformal inference; Gibbs & Candes 2021), e = 1 for rejected. The state is a sum over a set of labels, so
their order does not matter: rounded, for sums of floats depend on theirs in the last bits.
"""

from __future__ import annotations

from schemas.names import REGISTERS, Register
from schemas.sensitivity import DialogueRow, Sensitivity
from streams.stages.policy import Clip, Gate, Priors
from streams.stages.preferences import Level

_DECIMALS = 9


def theta(row: Sensitivity, dialogue: DialogueRow, task: str | None, gate: Gate, priors: Priors) -> float:
    """Return the threshold for this dialogue, 0 to 1, at 4 decimals."""
    shift = _clip(gate.eta_user * row.z, gate.clip_user) + _clip(gate.eta_dialogue * dialogue.z, gate.clip_dialogue)
    return round(min(1.0, max(0.0, gate.theta0 + priors.shift(task) + shift)), 4)


def leniency(likes: tuple[float, ...], voice: Register | None, field: float | None, gate: Gate) -> float:
    """Return how far a liked register lowers the threshold (0 to .05) where the scene's field is strong."""
    if voice is None or field is None or field < gate.strong_field:
        return 0.0
    return round(gate.preference_shift * likes[REGISTERS.index(voice)], 4)


def learn(row: Sensitivity, dialogue: DialogueRow, error: int, gate: Gate) -> tuple[Sensitivity, DialogueRow]:
    """Return both levels after one label (1 rejected, 0 accepted)."""
    step = round(error - gate.alpha, _DECIMALS)
    return _moved(row, step), _moved(dialogue, step)


def _moved(level: Level, step: float) -> Level:
    return level.model_copy(update={"z": round(level.z + step, _DECIMALS)})


def _clip(value: float, limits: Clip) -> float:
    return min(max(value, limits[0]), limits[1])

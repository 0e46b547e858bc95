"""Small builders of events, readings and rows: a test names what it is about, the rest is filled in."""

from __future__ import annotations

import numpy as np

from schemas.decision import Decision, Parts
from schemas.feedback import Feedback, Preference
from schemas.names import Register
from schemas.scene import Chain, Code, Healing, Scene, Utterance
from schemas.sensitivity import Sensitivity
from streams.stages import resonance
from streams.stages.admit import Terms
from streams.stages.policy import Gate, Policy
from streams.stages.reading import Candidate, Reading, Rendering
from streams.stages.resonance import Judgement

DIMENSIONS = 4
CODES = ("entrance", "tremor", "vagueness")
TERMS = Terms(DIMENSIONS, lambda label: label.casefold() if len(label) < 40 else None)


def chain(*codes: str) -> Chain:
    return tuple(Code(code=code, weight=round(1.0 / (place + 1), 2)) for place, code in enumerate(codes or CODES))


def scene(turn: int = 1, dialogue: str = "d", user: str | None = "u", **fields: object) -> Scene:
    given: dict[str, object] = {
        "dialogue_id": dialogue,
        "user_id": user,
        "turn": turn,
        "context": (Utterance(role="user", text="Did you sleep?"),),
        "draft": None if {"embedding", "chain"} & fields.keys() else "A little, towards morning.",
    }
    return Scene.model_validate(given | fields)


def feedback(
    turn: int = 1,
    accepted: bool | None = None,
    dialogue: str = "d",
    user: str | None = "u",
    rating: float | None = None,
    preference: Preference | None = None,
) -> Feedback:
    return Feedback(
        dialogue_id=dialogue, user_id=user, turn=turn, accepted=accepted, rating=rating, preference=preference
    )


def parts(**fields: float | None) -> Parts:
    return Parts(**({"intent": 0.8, "fidelity": 0.6, "field": 0.1, "activation": 0.4, "density": 3.0} | fields))


def reading(
    p_form: float | None = 0.9,
    intent: float = 0.8,
    codes: tuple[str, ...] = CODES,
    voice: Register | None = None,
    **fields: float | None,
) -> Reading:
    return Reading(
        p_form=p_form,
        chain=chain(*codes),
        parts=parts(intent=intent, **fields),
        voice=voice,
        embedding=np.full(DIMENSIONS, 0.5, np.float32),
        cut=False,
    )


def rendering(register: Register = "poetic", fidelity: float = 0.6, risk: float = 0.2) -> Rendering:
    return Rendering(
        register=register,
        chain=chain("doorway", "shiver", "mist"),
        symbols=("D", "S", "M"),
        fidelity=fidelity,
        risk=risk,
    )


def candidate(*codes: str, gain: float = 0.4, **fields: object) -> Candidate:
    given: dict[str, object] = {
        "source": "blend",
        "chain": chain(*(codes or ("step", "tension", "morning"))),
        "symbols": (),
        "closeness": tuple(tuple(0.1 * (i + j) for j in range(5)) for i in range(5)),
        "fidelity": 0.3,
        "gain": gain,
        "risk": 0.35,
        "activated": True,
        "nearest_reply": None,
    }
    return Candidate(**(given | fields))  # type: ignore[arg-type]


def healing(**fields: object) -> Healing:
    return Healing.model_validate({"route": "bridge", "before": chain(), "fidelity": 0.4, "risk": 0.3} | fields)


def row(**fields: object) -> Sensitivity:
    return Sensitivity.model_validate({"key": "u"} | fields)


def policy(**fields: object) -> Policy:
    return Policy(gate=Gate.model_validate(fields))


def judged(one: Scene, read: Reading, before: Sensitivity, rules: Policy) -> Judgement:
    """Offer a fresh scene its turn and judge it."""
    return resonance.judge(one, read, resonance.offer(before, one, rules), rules)


def decision(**fields: object) -> Decision:
    made = judged(scene(), reading(), row(), policy()).decision
    return made.model_copy(update=fields)

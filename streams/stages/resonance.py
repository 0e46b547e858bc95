"""Resonance: a scene, what the models read in it and its sensitivity row in; a verdict and the next row out."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.decision import AccountName, Decision, Parts
from schemas.names import FINAL_VERDICTS, Origin, Verdict
from schemas.scene import Scene, Step
from schemas.sensitivity import DialogueRow, Pending, Sensitivity
from schemas.vector import Vector
from streams.stages import filter as adaptive_filter
from streams.stages import ledger, preferences, rows, tuner
from streams.stages.cue import write_cue
from streams.stages.filter import Facts
from streams.stages.policy import Policy
from streams.stages.reading import Reading

_DENSITY_WEIGHT = 0.1


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision, the row after it, and the scene as it goes on to be healed (None where the decision is final)."""

    decision: Decision
    row: Sensitivity
    onward: Scene | None


def offer(row: Sensitivity, scene: Scene, policy: Policy) -> Sensitivity:
    """Return the row with a fresh scene's turn counted and overdue labels expired."""
    row = row.model_copy(update={"offered": row.offered + 1, "task": scene.task})
    row = ledger.expire(row, policy.gate)
    return rows.with_dialogue(row, rows.see(rows.dialogue_of(row, scene.dialogue_id), scene.turn))


def judge(scene: Scene, reading: Reading, row: Sensitivity, policy: Policy) -> Judgement:
    """Return the verdict on one attempt of `scene`; for a fresh scene `row` was offered its turn before.

    In the mode `observe` the verdict is `ready` whatever was decided: the last step of the lineage, the rule, its
    reason and the row are those of a gate, and no healing follows.
    """
    gate = policy.gate
    dialogue = rows.dialogue_of(row, scene.dialogue_id)
    theta = tuner.theta(row, dialogue, scene.task, gate, policy.priors)
    voice = reading.voice if scene.register is None else scene.register
    theta = round(theta - tuner.leniency(preferences.likes(row, dialogue), voice, reading.parts.field, gate), 4)
    facts = _facts(scene, reading, theta, policy)
    rule = adaptive_filter.decide(facts)
    decided, name, reason = rule.verdict, rule.name, adaptive_filter.explain(rule, facts)

    account = ledger.account_of(scene.origin)
    plain_risk = _risk(scene, reading)
    correction = ledger.correction(getattr(row, account))
    risk = round(min(1.0, plain_risk * correction), 4)
    if decided is Verdict.READY and not ledger.allows(row, account, plain_risk, gate):
        decided, name = Verdict.WITHHELD, f"ledger.{account}"
        reason = f"{reason}, but the promise on {account} has no room for it: {_risk_in_words(plain_risk, correction)}"

    deviation, dialogue = _weigh_density(scene, reading.parts, dialogue)
    row = rows.with_dialogue(row, dialogue)
    if decided is Verdict.READY:
        row = _emitted(row, scene, reading, account, plain_risk, policy)
    brevity = preferences.brevity(row, dialogue)
    cue = None
    if scene.healing is not None and decided is Verdict.READY and gate.mode != "observe":
        cue = write_cue(reading.chain, scene.healing, scene.register, brevity)
    resonance = round(1.0 - plain_risk, 4)
    step = Step(
        stage="resonance",
        attempt=scene.attempt,
        outcome=decided.value,
        rule=name,
        register=scene.register,
        resonance=resonance,
        intent=reading.parts.intent,
        codes=tuple(code.code for code in reading.chain),
    )
    lineage = (*scene.lineage, step)
    verdict = Verdict.READY if gate.mode == "observe" else decided
    final = verdict in FINAL_VERDICTS
    decision = Decision.model_construct(
        scene_id=scene.scene_id,
        dialogue_id=scene.dialogue_id,
        user_id=scene.user_id,
        task=scene.task,
        turn=scene.turn,
        attempt=scene.attempt,
        origin=scene.origin,
        verdict=verdict,
        rule=name,
        reason=reason,
        register=scene.register,
        resonance=resonance,
        parts=reading.parts,
        density_deviation=deviation,
        threshold=_threshold(scene, theta, policy),
        risk=risk,
        ledger=ledger.view(row, account, gate),
        chain=reading.chain,
        cue=cue,
        healing=scene.healing,
        lineage=lineage,
        flags=(*(("cut",) if reading.cut else ()), *(("observed",) if gate.mode == "observe" else ())),
        spoilt=scene.spoilt,
        final=final,
    )
    return Judgement(decision, row, None if final else _onward(scene, reading, lineage))


def _facts(scene: Scene, reading: Reading, theta: float, policy: Policy) -> Facts:
    healing = scene.healing
    fidelity = reading.parts.fidelity if healing is None else healing.fidelity
    return Facts(
        origin=scene.origin,
        theta=theta,
        p_form=reading.p_form,
        p_intent=0.0 if reading.parts.intent is None else reading.parts.intent,
        fidelity=-1.0 if fidelity is None else fidelity,
        gain=None if healing is None else healing.gain,
        activated=healing is None or healing.activated,
        healings=scene.attempt,
        bare=scene.draft is None and scene.embedding is None,
        gate=policy.gate,
        routes=policy.routes,
    )


def _risk_in_words(plain: float, correction: float) -> str:
    if correction == 1.0:
        return f"risk {plain:.2f}"
    return f"risk {plain:.2f} by the models, times {correction:.2f} by this listener's labels"


def _risk(scene: Scene, reading: Reading) -> float:
    if scene.healing is not None:
        return scene.healing.risk
    return 1.0 if reading.p_form is None else 1.0 - reading.p_form


def _threshold(scene: Scene, theta: float, policy: Policy) -> float:
    match scene.origin:
        case Origin.FRESH:
            return theta
        case Origin.REGENERATION:
            return policy.gate.fidelity_min
        case Origin.BRIDGE:
            return policy.gate.gain_min


def _weigh_density(scene: Scene, parts: Parts, dialogue: DialogueRow) -> tuple[float | None, DialogueRow]:
    if parts.density is None:
        return None, dialogue
    known = dialogue.scenes > 0
    deviation = round(parts.density - dialogue.mean_density, 4) if known else 0.0
    if scene.origin is not Origin.FRESH:
        return deviation, dialogue
    mean = dialogue.mean_density + _DENSITY_WEIGHT * deviation if known else parts.density
    return deviation, dialogue.model_copy(update={"mean_density": round(mean, 6), "scenes": dialogue.scenes + 1})


def _emitted(
    row: Sensitivity, scene: Scene, reading: Reading, account: AccountName, risk: float, policy: Policy
) -> Sensitivity:
    gate = policy.gate
    as_was = scene.origin is Origin.FRESH and scene.spoilt is None
    if as_was:
        dialogue = rows.mark(rows.dialogue_of(row, scene.dialogue_id), "emitted_as_was", scene.turn)
        row = rows.with_dialogue(row, dialogue)
    entry = Pending(
        dialogue_id=scene.dialogue_id,
        turn=scene.turn,
        account=account,
        risk=risk,
        expires_at=row.offered + gate.expiry_turns,
        register=reading.voice if scene.register is None else scene.register,
        brevity=preferences.brevity_of(len(reading.chain), gate.codes),
    )
    return ledger.emit(row, account, entry)


def _onward(scene: Scene, reading: Reading, lineage: tuple[Step, ...]) -> Scene:
    embedding = Vector.pack(reading.embedding) if scene.embedding is None else scene.embedding
    return scene.model_copy(update={"chain": reading.chain, "embedding": embedding, "lineage": lineage})

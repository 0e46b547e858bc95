"""The pipeline on paper: the stages one after the other, without Kafka, batches or a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fake_scorer import FakeScorer

from schemas.decision import Decision
from schemas.names import Origin, Verdict
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka.wire import Message, encode
from streams.scoring.port import Wish
from streams.stages import admit, bridge, regeneration, resonance, rows, threshold
from streams.stages.admit import Refusal
from streams.stages.policy import Policy
from streams.stages.wanting import want
from streams.topology import goes_to
from tests.chaos.load import said_of

_SCORER = FakeScorer()
TERMS = _SCORER.terms()
_HEALERS = {Verdict.REGENERATE: "regeneration", Verdict.ANALOGUE: "bridge"}


@dataclass(frozen=True, slots=True)
class Judged:
    """What one scene comes to: a decision, the row after it, and the scene as it goes on where it is not final."""

    decision: Decision
    row: Sensitivity
    onward: Scene | None


def judge(scene: Scene, row: Sensitivity, policy: Policy) -> Judged | Refusal:
    """Return what the resonance agent owes for a scene."""
    if scene.origin is Origin.FRESH:
        refusal = admit.place(scene, rows.dialogue_of(row, scene.dialogue_id))
        if refusal is not None:
            return refusal
        row = resonance.offer(row, scene, policy)
    judged = resonance.judge(scene, _SCORER.read(_SCORER.encode([scene]))[0], row, policy)
    onward = judged.onward
    if onward is not None:
        wanted = want(scene, judged.row, judged.decision.verdict, policy.gate.codes)
        onward = onward.model_copy(update={"wanted": wanted})
    return Judged(judged.decision, judged.row, onward)


def heal(verdict: Verdict, onward: Scene, policy: Policy) -> Scene:
    """Return what the healing agent of a verdict owes for a scene."""
    assert onward.wanted is not None
    wish = Wish(_SCORER.encode([onward])[0], onward.wanted.register, onward.wanted.codes)
    if verdict is Verdict.REGENERATE:
        return regeneration.regenerate(onward, _SCORER.render([wish])[0])
    return bridge.bridge(onward, _SCORER.bridge([wish])[0], policy.routes)


def sent(judged: Judged, at: datetime) -> tuple[str, Message]:
    """Return what the resonance agent sends, and to which topic."""
    decision, onward = judged.decision, judged.onward
    if onward is None:
        message = encode(decision, at=at, stage="resonance")
    else:
        message = encode(onward, at=at, stage="resonance", decision=decision)
    return goes_to("resonance", decision.verdict.value), message


def sent_back(verdict: Verdict, onward: Scene, policy: Policy, at: datetime) -> tuple[Scene, Message]:
    """Return what the healing agent of a verdict makes of a scene, and what it sends."""
    healed = heal(verdict, onward, policy)
    return healed, encode(healed, at=at, stage=_HEALERS[verdict])


def converse(turns: Sequence[Scene], policy: Policy) -> tuple[list[Decision], Sensitivity]:
    """Return the final decisions and the row of a patient user: an uninterrupted run, turn by turn."""
    row = Sensitivity(key=turns[0].key)
    final: list[Decision] = []
    for turn in turns:
        scene: Scene | None = turn
        while scene is not None:
            judged = judge(scene, row, policy)
            assert isinstance(judged, Judged)
            row = judged.row
            decision, onward = judged.decision, judged.onward
            scene = None if onward is None else heal(decision.verdict, onward, policy)
        final.append(decision)
        for said in said_of(decision):
            row = threshold.tune(row, said, policy.gate).row
    return final, row

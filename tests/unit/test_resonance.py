from __future__ import annotations

import pytest
from builders import candidate, chain, judged, parts, policy, reading, rendering, row, scene

from schemas.decision import Decision
from schemas.names import Verdict
from schemas.scene import Scene
from schemas.sensitivity import Account, Sensitivity
from streams.stages import bridge, regeneration, resonance
from streams.stages.policy import Policy, Priors, Routes
from streams.stages.resonance import Judgement

RULES = policy()
BROKE = row(drafts=Account(errors=50), healed=Account(errors=50))


def onward(intent: float, before: Sensitivity | None = None, rules: Policy = RULES) -> tuple[Scene, Sensitivity]:
    first = judged(scene(), reading(p_form=0.2, intent=intent), row() if before is None else before, rules)
    assert first.onward is not None
    return first.onward, first.row


def regenerated(fidelity: float = 0.6, before: Sensitivity | None = None) -> Judgement:
    one, after = onward(0.9, before)
    return resonance.judge(regeneration.regenerate(one, rendering(fidelity=fidelity)), reading(None), after, RULES)


def bridged(gain: float = 0.4, before: Sensitivity | None = None, **fields: object) -> Judgement:
    one, after = onward(0.1, before)
    crossed = bridge.bridge(one, [candidate(gain=gain, **fields)], Routes())
    return resonance.judge(crossed, reading(None, codes=("step",)), after, RULES)


def test_a_scene_that_resonates_goes_out_as_it_was() -> None:
    judgement = judged(scene(), reading(p_form=0.9), row(), RULES)
    decision = judgement.decision
    assert (decision.verdict, decision.rule, decision.final) == (Verdict.READY, "fresh.resonates", True)
    assert (decision.resonance, decision.risk, decision.threshold) == (0.9, 0.1, 0.5)
    assert (decision.cue, decision.healing, judgement.onward) == (None, None, None)
    assert (decision.ledger.offered, decision.ledger.emitted, decision.ledger.pending) == (1, 1, 1)
    assert decision.reason == "resonance 0.900 reaches the threshold 0.500"


def test_a_decision_is_what_its_line_says() -> None:
    for judgement in (judged(scene(), reading(p_form=0.9), row(), RULES), regenerated(), bridged(), bridged(gain=0.1)):
        line = judgement.decision.model_dump_json(by_alias=True)
        assert Decision.model_validate_json(line) == judgement.decision
        assert '"T":1,' in line


@pytest.mark.parametrize(("intent", "verdict"), [(0.5, Verdict.REGENERATE), (0.49, Verdict.ANALOGUE)])
def test_a_scene_that_does_not_is_sent_to_be_healed(intent: float, verdict: Verdict) -> None:
    judgement = judged(scene(), reading(p_form=0.2, intent=intent), row(), RULES)
    assert (judgement.decision.verdict, judgement.decision.final) == (verdict, False)
    assert judgement.onward is not None
    assert judgement.onward.chain == chain()
    assert judgement.onward.embedding is not None
    assert judgement.onward.embedding.to_numpy().tolist() == [0.5] * 4
    assert judgement.row.drafts == Account()


def test_a_given_embedding_is_passed_on_untouched() -> None:
    given = scene(embedding=[0.1, 0.2, 0.3, 0.4])
    judgement = judged(given, reading(p_form=0.2), row(), RULES)
    assert judgement.onward is not None
    assert judgement.onward.embedding == given.embedding


def test_a_regenerated_scene_goes_out_with_its_cue() -> None:
    decision = regenerated().decision
    assert (decision.verdict, decision.rule, decision.register) == (Verdict.READY, "regenerated.faithful", "poetic")
    assert decision.cue is not None
    assert "voice: poetic" in decision.cue
    assert (decision.threshold, decision.resonance, decision.risk) == (0.35, 0.8, 0.2)
    assert (decision.ledger.account, decision.ledger.emitted) == ("healed", 1)


def test_a_regeneration_that_strayed_is_bridged_and_then_it_is_over() -> None:
    strayed = regenerated(fidelity=0.2)
    assert strayed.decision.verdict is Verdict.ANALOGUE
    assert strayed.onward is not None
    crossed = bridge.bridge(strayed.onward, [candidate(gain=0.1)], Routes())
    last = resonance.judge(crossed, reading(None), strayed.row, RULES).decision
    assert (last.verdict, last.attempt, last.final) == (Verdict.WITHHELD, 2, True)
    assert [step.outcome for step in last.lineage] == ["regenerate", "healed", "analogue", "healed", "withheld"]
    assert [step.attempt for step in last.lineage] == [0, 0, 1, 1, 2]


def test_a_bridged_scene_is_held_to_its_gain() -> None:
    decision = bridged().decision
    assert (decision.verdict, decision.rule, decision.threshold) == (Verdict.READY, "bridged.gains", 0.3)
    assert decision.cue is not None
    assert decision.cue.startswith("say: step 1.00")
    assert bridged(gain=0.2).decision.verdict is Verdict.WITHHELD
    assert bridged(gain=0.2, activated=False).decision.verdict is Verdict.REASONING


def test_withheld_words_leave_no_cue_and_no_emission() -> None:
    judgement = bridged(gain=0.2)
    assert judgement.decision.cue is None
    assert judgement.row.healed == Account()
    assert judgement.row.dialogues[0].emitted_as_was == 0


def test_the_ledger_may_hold_back_what_would_go_out() -> None:
    fresh = judged(scene(), reading(p_form=0.9), BROKE, RULES).decision
    assert (fresh.verdict, fresh.rule, fresh.final) == (Verdict.WITHHELD, "ledger.drafts", True)
    assert fresh.reason.startswith("resonance 0.900 reaches the threshold 0.500, but the promise on drafts")
    for judgement in (regenerated(before=BROKE), bridged(before=BROKE)):
        assert (judgement.decision.verdict, judgement.decision.rule) == (Verdict.WITHHELD, "ledger.healed")
        assert judgement.row.healed == BROKE.healed


def test_the_ledger_has_no_say_where_it_is_off() -> None:
    assert judged(scene(), reading(p_form=0.9), BROKE, policy(mode="off")).decision.verdict is Verdict.READY


@pytest.mark.parametrize(
    ("p_form", "intent", "before", "decided"),
    [
        (0.9, 0.6, row(), "ready"),
        (0.9, 0.6, BROKE, "withheld"),
        (0.2, 0.6, row(), "regenerate"),
        (0.2, 0.1, row(), "analogue"),
    ],
)
def test_what_is_observed_is_ready_as_it_came_and_tells_what_a_gate_would_have_decided(
    p_form: float, intent: float, before: Sensitivity, decided: str
) -> None:
    gated = judged(scene(), reading(p_form=p_form, intent=intent), before, RULES)
    watched = judged(scene(), reading(p_form=p_form, intent=intent), before, policy(mode="observe"))
    assert (watched.decision.verdict, watched.decision.final, watched.decision.cue) == (Verdict.READY, True, None)
    assert (watched.decision.flags, watched.onward) == (("observed",), None)
    assert watched.decision.lineage == gated.decision.lineage
    assert watched.decision.lineage[-1].outcome == decided == gated.decision.verdict
    assert (watched.decision.rule, watched.decision.reason) == (gated.decision.rule, gated.decision.reason)
    assert watched.row == gated.row


def test_what_comes_back_healed_after_the_gate_was_opened_is_ready_as_it_came() -> None:
    one, after = onward(0.9)
    healed = regeneration.regenerate(one, rendering(fidelity=0.6))
    decision = resonance.judge(healed, reading(None), after, policy(mode="observe")).decision
    assert (decision.verdict, decision.cue, decision.final) == (Verdict.READY, None, True)


def test_theta_follows_task_labels_and_likes() -> None:
    rules = Policy(priors=Priors(tasks={"support": 0.1}))
    liking = row(z=5.0, likes=(0, 1, 0, 0))
    read = reading(p_form=0.59, voice="poetic", field=0.3)
    decision = judged(scene(task="support"), read, liking, rules).decision
    assert (decision.threshold, decision.verdict) == (0.6, Verdict.REGENERATE)
    assert judged(scene(), read, liking, rules).decision.verdict is Verdict.READY
    assert judged(scene(register="dry"), read, row(likes=(0, 1, 0, 0)), rules).decision.threshold == 0.5


def test_a_turn_is_offered_once_however_often_it_is_healed() -> None:
    assert regenerated().row.offered == 1
    assert bridged().row.dialogues[0].scenes == 1


def test_density_is_shown_against_the_dialogues_mean() -> None:
    first = judged(scene(1), reading(density=3.0), row(), RULES)
    second = judged(scene(2), reading(density=5.0), first.row, RULES)
    assert (first.decision.density_deviation, second.decision.density_deviation) == (0.0, 2.0)
    assert second.row.dialogues[0].mean_density == 3.2
    third = judged(scene(3), reading(density=None), second.row, RULES)
    assert third.decision.density_deviation is None
    assert third.row.dialogues[0].mean_density == 3.2


def test_what_was_read_is_shown() -> None:
    decision = judged(scene(spoilt="echo"), reading(), row(), RULES).decision
    assert decision.parts == parts(intent=0.8)
    assert (decision.chain, decision.spoilt) == (chain(), "echo")


def test_a_row_knows_its_latest_task() -> None:
    assert resonance.offer(row(), scene(task="support"), RULES).task == "support"

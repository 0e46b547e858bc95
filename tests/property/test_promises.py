"""What holds whatever happens: the promise on errors, and labels as a set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import pytest
from builders import candidate, feedback, judged, reading, rendering, row, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decision import AccountName, Decision
from schemas.names import Verdict
from schemas.sensitivity import Sensitivity
from streams.stages import bridge, ledger, regeneration, resonance
from streams.stages.policy import Gate, Policy, Routes
from streams.stages.threshold import tune

ACCOUNTS: tuple[AccountName, ...] = ("drafts", "healed")
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Turn:
    dialogue: str
    p_form: float
    intent: float
    heals: bool
    risk: float
    spoilt: bool


@dataclass(frozen=True)
class Label:
    which: int
    error: bool


share = st.integers(0, 20).map(lambda twentieths: twentieths / 20)
turns = st.builds(
    Turn, st.sampled_from("ab"), share, share, st.booleans(), share, st.sampled_from([False, False, True])
)
labels = st.builds(Label, st.integers(0, 60), st.booleans())
events = st.lists(st.one_of(turns, turns, labels, labels), max_size=60)


def gates(mode: str) -> st.SearchStrategy[Gate]:
    return st.builds(
        Gate,
        mode=st.just(mode),
        theta0=st.sampled_from([0.0, 0.5]),
        alpha=share,
        alpha_healed=share,
        slack=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
        rho=st.sampled_from([0.0, 0.01, 0.3]),
        expiry_turns=st.integers(1, 12),
    )


@dataclass
class Emission:
    """What a bookkeeper of our own keeps of a scene that went out."""

    account: AccountName
    turn: int
    as_was: bool
    risk: float
    expires_at: int
    label: bool | None = None


@dataclass
class Life:
    """One key's events, driven through the stages, with books kept beside the row."""

    gate: Gate
    row: Sensitivity = field(default_factory=row)
    offered: int = 0
    emissions: list[Emission] = field(default_factory=list)
    dialogues: list[str] = field(default_factory=list)

    def run(self, happened: list[Turn | Label]) -> Iterator[Decision | None]:
        """Yield at every moment: after each attempt of a scene its decision, after each label None."""
        for event in happened:
            if isinstance(event, Turn):
                yield from self._scene(event)
            elif self.dialogues:
                self._label(event.which % len(self.dialogues), event.error)
                yield None

    def count(self, account: AccountName) -> tuple[int, int, int]:
        """Return n, E and P by our own books, as `strict` defines them."""
        mine = [one for one in self.emissions if one.account == account]
        live = [one for one in mine if one.label is not None or one.expires_at > self.offered]
        return len(live), sum(one.label is True for one in live), sum(one.label is None for one in live)

    def _scene(self, event: Turn) -> Iterator[Decision]:
        policy = Policy(gate=self.gate)
        turn = self.offered
        self.dialogues.append(event.dialogue)
        self.offered += 1
        one = scene(turn, event.dialogue, spoilt="echo" if event.spoilt else None)
        judgement = judged(one, reading(event.p_form, event.intent), self.row, policy)
        while True:
            decision = judgement.decision
            self.row = judgement.row
            if decision.verdict is Verdict.READY:
                as_was = decision.healing is None and not event.spoilt
                expires_at = self.offered + self.gate.expiry_turns
                risk = 1 - decision.resonance
                self.emissions.append(Emission(decision.ledger.account, turn, as_was, risk, expires_at))
            yield decision
            if judgement.onward is None:
                return
            if decision.verdict is Verdict.REGENERATE:
                healed = regeneration.regenerate(
                    judgement.onward, rendering(fidelity=0.5 if event.heals else 0.1, risk=event.risk)
                )
            else:
                offer = candidate(gain=0.5 if event.heals else 0.1, risk=event.risk)
                healed = bridge.bridge(judgement.onward, [offer], Routes())
            judgement = resonance.judge(healed, reading(None, event.intent), self.row, policy)

    def _label(self, turn: int, error: bool) -> None:
        self.row = tune(self.row, feedback(turn, accepted=not error, dialogue=self.dialogues[turn]), self.gate).row
        for one in self.emissions:
            if one.turn == turn and one.as_was and one.label is None and one.expires_at > self.offered:
                one.label = error


@settings(max_examples=250)
@given(gates("strict"), events)
def test_strict_keeps_its_promise_at_every_moment(gate: Gate, happened: list[Turn | Label]) -> None:
    life = Life(gate)
    for _ in life.run(happened):
        for name in ACCOUNTS:
            account = getattr(life.row, name)
            emitted, errors, waiting = life.count(name)
            assert (account.emitted, account.errors, account.pending) == (emitted, errors, waiting)
            allowed = ledger.alpha_of(name, gate) * emitted + gate.slack + gate.rho * life.offered
            assert errors <= errors + waiting <= allowed + TOLERANCE
            assert ledger.view(life.row, name, gate).bound == pytest.approx(allowed, abs=1e-4)


@settings(max_examples=150)
@given(gates("expected"), events)
def test_expected_emits_within_its_bound(gate: Gate, happened: list[Turn | Label]) -> None:
    life = Life(gate)
    for decision in life.run(happened):
        if decision is None or decision.verdict is not Verdict.READY:
            continue
        name = decision.ledger.account
        mine = [one for one in life.emissions if one.account == name]
        errors = sum(one.label is True for one in mine)
        expected = sum(one.risk for one in mine if one.label is None)
        factor = ledger.correction(getattr(life.row, name))
        assert getattr(life.row, name).emitted == len(mine)
        assert errors + factor * expected <= _bound(gate, name, len(mine), life.offered) + TOLERANCE


@settings(max_examples=150)
@given(gates("expected"), st.lists(turns, max_size=60))
def test_without_labels_expected_errors_stay_within_the_bound_at_every_moment(gate: Gate, happened: list[Turn]) -> None:
    life = Life(gate)
    for _ in life.run(list(happened)):
        for name in ACCOUNTS:
            mine = [one.risk for one in life.emissions if one.account == name]
            assert sum(mine) <= _bound(gate, name, len(mine), life.offered) + TOLERANCE


@given(st.lists(turns, min_size=1, max_size=30), st.sampled_from([0.1]) | st.floats(0.0, 1.0), st.data())
def test_labels_in_any_order_leave_the_same_levels(happened: list[Turn], alpha: float, data: st.DataObject) -> None:
    gate = Gate(mode="off", alpha=alpha, expiry_turns=256)
    life = Life(gate)
    for _ in life.run(list(happened)):
        pass
    given_labels = [(turn, data.draw(st.booleans())) for turn in range(len(happened))]
    shuffled = data.draw(st.permutations(given_labels))
    one, other = (_labelled(life, order) for order in (given_labels, shuffled))
    assert one.z == other.z
    levels = [{dialogue.dialogue_id: dialogue.z for dialogue in row.dialogues} for row in (one, other)]
    assert levels[0] == levels[1]
    bits = [{dialogue.dialogue_id: dialogue.labelled for dialogue in row.dialogues} for row in (one, other)]
    assert bits[0] == bits[1]
    assert (one.drafts.errors, one.drafts.pending) == (other.drafts.errors, other.drafts.pending)
    assert one.drafts.expected == pytest.approx(other.drafts.expected)


@given(gates("strict") | gates("expected"), events, st.data())
def test_a_repeated_label_changes_nothing_but_its_counter(
    gate: Gate, happened: list[Turn | Label], data: st.DataObject
) -> None:
    life = Life(gate)
    for _ in life.run(happened):
        pass
    if not life.dialogues:
        return
    turn = data.draw(st.integers(0, len(life.dialogues) - 1))
    first = tune(life.row, feedback(turn, accepted=data.draw(st.booleans()), dialogue=life.dialogues[turn]), gate)
    again = tune(first.row, feedback(turn, accepted=data.draw(st.booleans()), dialogue=life.dialogues[turn]), gate)
    counter: Literal["repeated", "inapplicable"] = "inapplicable" if first.outcome == "inapplicable" else "repeated"
    assert again.outcome == counter
    assert again.row == first.row.model_copy(update={counter: getattr(first.row, counter) + 1})


@given(gates("strict"), events)
def test_a_row_survives_its_own_line(gate: Gate, happened: list[Turn | Label]) -> None:
    life = Life(gate)
    for _ in life.run(happened):
        pass
    assert Sensitivity.model_validate_json(life.row.model_dump_json()) == life.row
    assert Sensitivity.model_validate_json(life.row.model_dump_json(exclude_defaults=True)) == life.row


@given(gates("expected"), events)
def test_every_scene_ends_in_one_final_decision(gate: Gate, happened: list[Turn | Label]) -> None:
    decisions = [decision for decision in Life(gate).run(happened) if decision is not None]
    finals = [decision.scene_id for decision in decisions if decision.final]
    assert len(finals) == len(set(finals)) == sum(isinstance(event, Turn) for event in happened)
    assert all(decision.attempt <= gate.max_healings for decision in decisions)


def _bound(gate: Gate, name: AccountName, emitted: int, offered: int) -> float:
    return ledger.alpha_of(name, gate) * emitted + gate.slack + gate.rho * offered


def _labelled(life: Life, given_labels: list[tuple[int, bool]]) -> Sensitivity:
    after = life.row
    for turn, accepted in given_labels:
        after = tune(after, feedback(turn, accepted=accepted, dialogue=life.dialogues[turn]), life.gate).row
    return after

from __future__ import annotations

import pytest
from builders import row

from schemas.names import Origin
from schemas.sensitivity import Account, Pending, Sensitivity
from streams.stages import ledger
from streams.stages.policy import Gate


def pending(turn: int = 1, risk: float = 0.2, expires_at: int = 12, account: str = "drafts") -> Pending:
    return Pending.model_validate(
        {"dialogue_id": "d", "turn": turn, "account": account, "risk": risk, "expires_at": expires_at}
    )


def test_a_healed_scene_has_an_account_of_its_own() -> None:
    assert [ledger.account_of(origin) for origin in Origin] == ["drafts", "healed", "healed"]
    assert ledger.alpha_of("drafts", Gate()) == 0.10
    assert ledger.alpha_of("healed", Gate()) == 0.40


def test_the_bound_is_alpha_n_plus_slack_plus_rho_t() -> None:
    assert ledger.bound(Account(emitted=20), "drafts", 100, Gate()) == pytest.approx(2 + 3 + 1)
    assert ledger.bound(Account(emitted=20), "healed", 100, Gate()) == pytest.approx(8 + 3 + 1)


@pytest.mark.parametrize(("errors", "waiting", "allowed"), [(0, 0, True), (2, 0, True), (0, 3, False), (3, 0, False)])
def test_strict_counts_who_waits_as_an_error(errors: int, waiting: int, allowed: bool) -> None:
    account = Account(emitted=errors + waiting, errors=errors, pending=waiting)
    assert ledger.allows(row(drafts=account), "drafts", 0.0, Gate(mode="strict")) is allowed


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.7])
def test_strict_emits_up_to_the_bound_exactly(alpha: float) -> None:
    gate = Gate(mode="strict", alpha=alpha, slack=0.0, rho=0.0)
    for emitted in range(200):
        fits = ledger.bound(Account(emitted=emitted + 1), "drafts", 0, gate)
        for errors in range(int(fits) + 2):
            allowed = ledger.allows(row(drafts=Account(emitted=emitted, errors=errors)), "drafts", 0.0, gate)
            assert allowed is (errors + 1 <= fits)


def test_expected_counts_who_waits_by_its_risk() -> None:
    gate = Gate(mode="expected", slack=1.0, rho=0.0)
    waiting = row(drafts=Account(emitted=4, pending=4, expected=0.9))
    assert ledger.allows(waiting, "drafts", 0.6, gate)
    assert not ledger.allows(waiting, "drafts", 0.61, gate)


def test_off_promises_nothing_and_the_other_account_is_not_asked() -> None:
    broke = row(drafts=Account(emitted=1, errors=50))
    assert not ledger.allows(broke, "drafts", 0.0, Gate())
    assert ledger.allows(broke, "drafts", 1.0, Gate(mode="off"))
    assert ledger.allows(broke, "healed", 0.5, Gate())


def test_labels_beyond_what_was_expected_raise_risks_within_limits() -> None:
    assert ledger.correction(Account()) == 1.0
    assert ledger.correction(Account(errors=5, labelled_risk=0.0)) == 2.0
    assert ledger.correction(Account(errors=500, labelled_risk=0.0)) == 2.0
    assert ledger.correction(Account(errors=0, labelled_risk=50.0)) == 0.5
    assert 1.0 < ledger.correction(Account(errors=3, labelled_risk=2.0)) < 1.5


def test_an_emission_waits_for_its_label() -> None:
    after = ledger.emit(row(), "healed", pending(account="healed"))
    assert (after.healed.emitted, after.healed.pending, after.healed.expected) == (1, 1, 0.2)
    assert after.drafts == Account()
    assert after.pending == (pending(account="healed"),)


@pytest.mark.parametrize("error", [0, 1])
def test_a_label_takes_the_place_of_the_risk(error: int) -> None:
    before = ledger.emit(ledger.emit(row(), "drafts", pending(1)), "drafts", pending(2, risk=0.5, expires_at=13))
    after = ledger.settle(before, pending(1), error)
    assert (after.drafts.emitted, after.drafts.pending, after.drafts.errors) == (2, 1, error)
    assert after.drafts.expected == pytest.approx(0.5)
    assert (after.drafts.labelled, after.drafts.labelled_risk) == (1, 0.2)
    assert [entry.turn for entry in after.pending] == [2]


def expired(mode: str, offered: int) -> Sensitivity:
    before = ledger.emit(ledger.emit(row(), "drafts", pending(1)), "healed", pending(2, 0.5, 13, "healed"))
    return ledger.expire(before.model_copy(update={"offered": offered}), Gate.model_validate({"mode": mode}))


def test_strict_forgets_what_expired() -> None:
    assert expired("strict", 11).pending == (pending(1), pending(2, 0.5, 13, "healed"))
    after = expired("strict", 12)
    assert (after.drafts.emitted, after.drafts.pending, after.drafts.expected) == (0, 0, 0.0)
    assert (after.healed.emitted, after.healed.pending, after.healed.expected) == (1, 1, 0.5)
    assert expired("strict", 40).pending == ()


def test_expected_lets_the_risk_of_what_expired_stand() -> None:
    after = expired("expected", 40)
    assert (after.drafts.emitted, after.drafts.pending, after.drafts.expected) == (1, 0, 0.2)
    assert (after.healed.emitted, after.healed.pending, after.healed.expected) == (1, 0, 0.5)


def test_nothing_overdue_changes_nothing() -> None:
    before = ledger.emit(row(), "drafts", pending())
    assert ledger.expire(before, Gate()) is before


def test_the_view_shows_the_account() -> None:
    shown = ledger.view(ledger.emit(row(offered=10), "drafts", pending()), "drafts", Gate())
    assert shown.model_dump() == {
        "account": "drafts", "T": 10, "n": 1, "E": 0, "P": 1, "expected": 0.2, "bound": 3.2,
    }  # fmt: skip

"""The ledger: a promise about errors that holds at every moment, whatever the labels, their order or delay.

Per key and account: T turns offered, n emitted, E labelled errors, P emitted and unlabelled. `strict` emits only if
E + P + 1 <= alpha (n + 1) + slack + rho T, so E <= alpha n + slack + rho T always. `expected` puts the calibrated risk
of each unlabelled scene in the place of P, which is what a run without feedback needs.
"""

from __future__ import annotations

from schemas.decision import AccountName, LedgerView
from schemas.names import Origin
from schemas.sensitivity import Account, Pending, Sensitivity
from streams.stages.policy import Gate

_CORRECTION_STRENGTH = 5.0
_CORRECTION_RANGE = (0.5, 2.0)


def account_of(origin: Origin) -> AccountName:
    """Return the account that answers for a scene: a healed scene is a bolder promise."""
    return "drafts" if origin is Origin.FRESH else "healed"


def alpha_of(name: AccountName, gate: Gate) -> float:
    """Return the error rate promised by an account."""
    return gate.alpha if name == "drafts" else gate.alpha_healed


def bound(account: Account, name: AccountName, offered: int, gate: Gate) -> float:
    """Return how many labelled errors the account may hold: alpha n + slack + rho T."""
    return _bound(account.emitted, name, offered, gate)


def correction(account: Account) -> float:
    """Return the factor by which labels so far exceeded what was expected of them, shrunk towards 1."""
    ratio = (account.errors + _CORRECTION_STRENGTH) / (account.labelled_risk + _CORRECTION_STRENGTH)
    return min(max(ratio, _CORRECTION_RANGE[0]), _CORRECTION_RANGE[1])


def allows(row: Sensitivity, name: AccountName, risk: float, gate: Gate) -> bool:
    """Return whether one more scene of this risk may be emitted."""
    account: Account = getattr(row, name)
    # The bound as it will stand once the scene is out: adding alpha to today's could differ from it in the last bit.
    limit = _bound(account.emitted + 1, name, row.offered, gate)
    match gate.mode:
        case "off":
            return True
        case "strict":
            return account.errors + account.pending + 1 <= limit
        case "expected" | "observe":
            return account.errors + correction(account) * (account.expected + risk) <= limit


def emit(row: Sensitivity, name: AccountName, entry: Pending) -> Sensitivity:
    """Return the row with one more scene emitted and its label awaited."""
    account: Account = getattr(row, name)
    grown = account.model_copy(
        update={
            "emitted": account.emitted + 1,
            "pending": account.pending + 1,
            "expected": account.expected + entry.risk,
        }
    )
    return row.model_copy(update={name: grown, "pending": (*row.pending, entry)})


def settle(row: Sensitivity, entry: Pending, error: int) -> Sensitivity:
    """Return the row with the label of an awaited scene in the place of its risk."""
    account: Account = getattr(row, entry.account)
    settled = account.model_copy(
        update={
            "pending": account.pending - 1,
            "errors": account.errors + error,
            "expected": max(0.0, account.expected - entry.risk),
            "labelled_risk": account.labelled_risk + entry.risk,
            "labelled": account.labelled + 1,
        }
    )
    waiting = tuple(other for other in row.pending if other != entry)
    return row.model_copy(update={entry.account: settled, "pending": waiting})


def expire(row: Sensitivity, gate: Gate) -> Sensitivity:
    """Return the row without the scenes whose label is overdue.

    `strict` forgets that they were emitted (P - 1, n - 1). The other modes keep n and let the risk stand as the
    expected error, for without feedback every scene would be forgotten and nothing would be promised.
    """
    overdue = [entry for entry in row.pending if entry.expires_at <= row.offered]
    if not overdue:
        return row
    update: dict[str, object] = {"pending": tuple(entry for entry in row.pending if entry.expires_at > row.offered)}
    for name in ("drafts", "healed"):
        account: Account = getattr(row, name)
        expired = [entry for entry in overdue if entry.account == name]
        changes: dict[str, object] = {"pending": account.pending - len(expired)}
        if gate.mode == "strict":
            changes["emitted"] = account.emitted - len(expired)
            changes["expected"] = max(0.0, account.expected - sum(entry.risk for entry in expired))
        update[name] = account.model_copy(update=changes)
    return row.model_copy(update=update)


def view(row: Sensitivity, name: AccountName, gate: Gate) -> LedgerView:
    """Return the account as a decision shows it."""
    account: Account = getattr(row, name)
    return LedgerView(
        account=name,
        offered=row.offered,
        emitted=account.emitted,
        errors=account.errors,
        pending=account.pending,
        expected=round(account.expected, 4),
        bound=round(bound(account, name, row.offered, gate), 4),
    )


def _bound(emitted: int, name: AccountName, offered: int, gate: Gate) -> float:
    return alpha_of(name, gate) * emitted + gate.slack + gate.rho * offered

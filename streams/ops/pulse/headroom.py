"""What is left of the promise: the latest row of each user, as far as there is room, and their headroom by task."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.decision import AccountName
from schemas.sensitivity import Account, Sensitivity
from streams.ops.pulse.masks import mask
from streams.ops.pulse.pulse import LedgerPulse
from streams.stages import ledger
from streams.stages.policy import Gate

ACCOUNTS: tuple[AccountName, ...] = ("drafts", "healed")
_TASK_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Budget:
    """One user's headroom on both accounts, in errors, and whether the gate would withhold."""

    order: tuple[int, int]
    task: str | None
    headroom: tuple[float, float]
    at_limit: tuple[bool, bool]


class Budgets:
    """The budgets of the users whose rows came last."""

    def __init__(self, gate: Gate, most: int) -> None:
        self.forgotten = 0
        self._gate = gate
        self._most = most
        self._users: OrderedDict[str, Budget] = OrderedDict()

    def take(self, row: Sensitivity, order: tuple[int, int]) -> None:
        """Take a row; `order` is its partition and offset, and an earlier row of the same user changes nothing."""
        known = self._users.get(row.key)
        if known is not None and known.order >= order:
            return
        self._users[row.key] = _budget(row, order, self._gate)
        self._users.move_to_end(row.key)
        if len(self._users) > self._most:
            self._users.popitem(last=False)
            self.forgotten += 1

    def by_task(self, most: int, salt: bytes) -> tuple[LedgerPulse, ...]:
        """Return the accounts of the tasks with most users, and of all other tasks together."""
        users = Counter(budget.task for budget in self._users.values())
        # By number, then by name: equal tasks must not change places from one look to the next.
        named = {task for task, _ in sorted(users.items(), key=lambda one: (-one[1], one[0] or ""))[:most]}
        groups: dict[tuple[bool, str | None], list[tuple[str, Budget]]] = {}
        for user, budget in self._users.items():
            other = budget.task not in named
            groups.setdefault((other, None if other else budget.task), []).append((user, budget))
        ordered = sorted(groups.items(), key=lambda one: (one[0][0], -len(one[1]), one[0][1] or ""))
        return tuple(
            _pulse(task, budgets, account, salt, other=other)
            for (other, task), budgets in ordered
            for account in ACCOUNTS
        )

    def __len__(self) -> int:
        return len(self._users)


def headroom(row: Sensitivity, name: AccountName, gate: Gate) -> float:
    """Return how many more errors an account has room for; what is unlabelled counts as the gate's mode counts it."""
    account: Account = getattr(row, name)
    used = float(account.errors)
    used += account.pending if gate.mode == "strict" else ledger.correction(account) * account.expected
    return ledger.bound(account, name, row.offered, gate) - used


def budgets_of(rows: Iterable[Sensitivity], gate: Gate, most: int) -> Budgets:
    """Return the budgets of rows that stand in no order."""
    budgets = Budgets(gate, most)
    for number, row in enumerate(rows):
        budgets.take(row, (0, number))
    return budgets


def _budget(row: Sensitivity, order: tuple[int, int], gate: Gate) -> Budget:
    task = row.task if row.task is None or len(row.task) <= _TASK_CHARACTERS else row.task[: _TASK_CHARACTERS - 1] + "…"
    drafts, healed = (headroom(row, name, gate) for name in ACCOUNTS)
    stopped = [not ledger.allows(row, name, ledger.alpha_of(name, gate), gate) for name in ACCOUNTS]
    return Budget(order, task, (drafts, healed), (stopped[0], stopped[1]))


def _pulse(
    task: str | None, budgets: Sequence[tuple[str, Budget]], account: AccountName, salt: bytes, *, other: bool
) -> LedgerPulse:
    place = ACCOUNTS.index(account)
    ordered = sorted((budget.headroom[place], user) for user, budget in budgets)
    return LedgerPulse(
        task=task,
        other=other,
        account=account,
        users=len(ordered),
        at_limit=sum(budget.at_limit[place] for _, budget in budgets),
        headroom_worst=round(ordered[0][0], 4),
        headroom_p10=round(ordered[math.ceil(len(ordered) * 0.1) - 1][0], 4),
        headroom_median=round(ordered[math.ceil(len(ordered) * 0.5) - 1][0], 4),
        worst_user=mask(ordered[0][1], salt),
    )

"""Priors: what users taught their rows in earlier runs, folded into one snapshot for those who come after them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.sensitivity import Sensitivity
from streams.stages.policy import Gate, Priors

# A mean over few users is drawn towards what was known before, as if so many users had said that.
SHRINKAGE_USERS = 5.0
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Taught:
    """A user's row at the end of a run, and the gate and priors of that run."""

    row: Sensitivity
    gate: Gate
    priors: Priors


@dataclass(frozen=True, slots=True)
class Level:
    """What a task's users, or everyone, came to: how many of them, their plain mean shift, the shrunk one."""

    users: int
    mean: float
    shift: float


@dataclass(frozen=True, slots=True)
class Fold:
    """A new snapshot, and the levels it was folded from."""

    priors: Priors
    everyone: Level
    tasks: dict[str, Level]


def fold(rows: Iterable[Taught], before: Priors) -> Fold:
    """Return the snapshot after `before`: for everyone and each task the shrunk mean of its users' shifts.

    A user's shift is the prior they were judged under plus clip(eta_user z); of a user with several rows, its mean.
    Rows that no label has reached teach nothing. Everyone shrinks towards what `before` says, a task towards what
    `before` says of it, or else towards everyone. Tasks without rows stay as they were.
    """
    shifts: dict[tuple[str, str | None], list[float]] = defaultdict(list)
    for taught in rows:
        if _was_labelled(taught.row):
            shifts[taught.row.key, taught.row.task].append(_shift(taught))
    users: dict[str, list[float]] = defaultdict(list)
    by_task: dict[str, list[float]] = defaultdict(list)
    for (key, task), known in sorted(shifts.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        users[key] += known
        if task is not None:
            by_task[task].append(_mean(known))
    everyone = _shrink([_mean(known) for known in users.values()], before.everyone)
    tasks = {task: _shrink(by_task[task], before.tasks.get(task, everyone.shift)) for task in sorted(by_task)}
    stayed = {task: shift for task, shift in before.tasks.items() if task not in tasks}
    folded = {task: level.shift for task, level in tasks.items()}
    return Fold(
        Priors(version=before.version + 1, everyone=everyone.shift, tasks=dict(sorted({**stayed, **folded}.items()))),
        everyone,
        tasks,
    )


def _was_labelled(row: Sensitivity) -> bool:
    return row.z != 0.0 or row.drafts.labelled + row.healed.labelled > 0


def _shift(taught: Taught) -> float:
    low, high = taught.gate.clip_user
    return taught.priors.shift(taught.row.task) + min(max(taught.gate.eta_user * taught.row.z, low), high)


def _shrink(shifts: list[float], towards: float) -> Level:
    shrunk = (sum(shifts) + SHRINKAGE_USERS * towards) / (len(shifts) + SHRINKAGE_USERS)
    return Level(len(shifts), round(_mean(shifts), _DECIMALS), round(shrunk, _DECIMALS))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0

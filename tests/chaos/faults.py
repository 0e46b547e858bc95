"""The faults, one row each: what is done to the cluster while scenes and feedback flow, and what is expected of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.acts import (
    THIRD,
    WORKERS,
    Act,
    a_third_comes,
    cut,
    kill_and_again,
    kill_at_random,
    kill_for_good,
    kill_the_broker,
    let_wounds_count,
    nothing,
    roll,
    scale,
    stop_and_continue,
)
from tests.chaos.wounds import dies

Wounded = Callable[[random.Random, Path], Mapping[str, Mapping[str, str]]]


def _unwounded(_: random.Random, __: Path) -> Mapping[str, Mapping[str, str]]:
    return {}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by name: what it does, which workers there are and what wounds they carry, and how many of them must end.

    `calm` is one by which nobody may end who was not told to. `culprits` are drafts that no model survives, with the
    reason that their dead letters give.
    """

    name: str
    says: str
    act: Act = nothing
    wounded: Wounded = _unwounded
    least_ends: int = 0
    calm: bool = False
    workers: tuple[str, ...] = WORKERS
    through_proxies: bool = False
    # Whether it is among those that every `make test` does once.
    bounded: bool = True
    models: Mapping[str, str] = field(default_factory=dict)
    culprits: Mapping[str, str] = field(default_factory=dict)


def _dies(point: str, least: int, most: int, names: tuple[str, ...] = ("one",)) -> Wounded:
    def wounded(rng: random.Random, folder: Path) -> Mapping[str, Mapping[str, str]]:
        return {name: dies(point, rng.randint(least, most), folder, name) for name in names}

    return wounded


def _rebalancing(name: str, says: str, point: str, victim: str = "one") -> Fault:
    return Fault(name, says, a_third_comes, wounded=_dies(point, 1, 1, (victim,)), least_ends=1)


def _one_of(*chances: Wounded) -> Wounded:
    def wounded(rng: random.Random, folder: Path) -> Mapping[str, Mapping[str, str]]:
        return rng.choice(chances)(rng, folder)

    return wounded


FAULTS: tuple[Fault, ...] = (
    Fault("none", "nothing happens: the uninterrupted run", calm=True),
    Fault("kill", "kill -9 of a worker at random moments, twice", kill_at_random, least_ends=2),
    Fault("kill-for-good", "kill -9 of a worker that nobody starts again", kill_for_good),
    Fault(
        "kill-before-outputs",
        "kill -9 with rows changed in memory and nothing sent",
        let_wounds_count,
        wounded=_dies("before outputs", 1, 25, WORKERS),
        least_ends=2,
    ),
    Fault(
        "kill-before-commit",
        "kill -9 between the outputs of a transaction and its commit",
        let_wounds_count,
        wounded=_dies("before commit", 1, 25, WORKERS),
        least_ends=2,
    ),
    Fault(
        "kill-during-commit",
        "kill -9 while a commit is on its way, or just after it",
        let_wounds_count,
        wounded=_one_of(_dies("during commit", 1, 25, WORKERS), _dies("after commit", 1, 60, WORKERS)),
        least_ends=2,
    ),
    Fault(
        "kill-restoring",
        "kill -9, and again while the rows are restored",
        kill_and_again,
        wounded=_dies("restoring", 1, 2),
        least_ends=2,
    ),
    _rebalancing("kill-giving-up", "kill -9 of a worker that is told to give partitions up", "giving up"),
    _rebalancing("kill-given-up", "kill -9 of a worker that has just given partitions up", "given up"),
    _rebalancing("kill-fenced", "kill -9 of whoever takes partitions over, with their owner fenced", "fenced", THIRD),
    _rebalancing("kill-taken-over", "kill -9 of whoever has just taken partitions over", "taken over", THIRD),
    Fault("zombie", "SIGSTOP past the session timeout, then SIGCONT", stop_and_continue),
    Fault("broker", "kill -9 of the broker, which comes back", kill_the_broker),
    Fault("network-closed", "connections of a worker reset and refused", cut("closed", 1.0, 9.0), through_proxies=True),
    Fault("network-silent", "a worker's cable pulled", cut("silent", 2.0, 12.0), through_proxies=True),
    Fault("scale", "1 worker, then 3, then 1", scale, workers=("one",), calm=True),
    Fault("rolling", "SIGTERM and a new start, one worker after the other", roll, calm=True),
    Fault(
        "model-raises",
        "a model that raises on one scene",
        calm=True,
        models={"FAKE_FAILS_ON": "poison"},
        culprits={"poison": "ZeroDivisionError"},
    ),
    Fault(
        "model-hangs",
        "a model that hangs on one scene",
        least_ends=3,
        models={"FAKE_HANGS_ON": "poison", "SCENESTREAM_MODELS__DEADLINE_SECONDS": "1"},
        culprits={"poison": "hung"},
    ),
    Fault(
        "model-dies",
        "a model that ends the process on one scene",
        least_ends=3,
        models={"FAKE_DIES_ON": "poison"},
        culprits={"poison": "died"},
        bounded=False,
    ),
    Fault(
        "stage-breaks",
        "a stage that raises on one scene after rows were touched",
        least_ends=3,
        models={"FAKE_BREAKS_ON": "poison"},
        culprits={"poison": "AttributeError"},
    ),
)


def find(name: str) -> Fault:
    """Return the fault of a name; raises LookupError that lists the names."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise LookupError(f"there is no fault {name!r}; there are {', '.join(fault.name for fault in FAULTS)}")

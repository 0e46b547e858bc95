"""The table of `make bench-live`, and which targets were met."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.benchmarks.live_contender import Contender, Measured
from tests.benchmarks.live_scenes import Case

SLOWEST_LATENCY = 1.30
_FIGURES: Mapping[str, Callable[[Measured], float]] = {
    "scenes/s": lambda one: one.drained,
    "cpu ms": lambda one: one.cpu,
    "p50 ms": lambda one: one.p50,
    "p99 ms": lambda one: one.p99,
}


def report(case: Case, all_of_them: Sequence[Contender]) -> None:
    """Print the figures of a case, medians of its turns, and the ratios to the plain loop of the same guarantee."""
    plain = {one.guarantee: one for one in all_of_them if one.name.startswith("plain")}
    print(f"\n{case.title}, {case.drained} a drain")
    print(f"{'':<16}{'guarantee':<15}" + "".join(f"{name:>9}{'ratio':>7}" for name in _FIGURES) + f"{'at/s':>7}")
    for one in all_of_them:
        beside = plain[one.guarantee]
        cells = "".join(
            f"{_median(one, name):>9.{_DECIMALS[name]}f}{_ratio(one, beside, name):>7.2f}" for name in _FIGURES
        )
        load = statistics.median(mine.load for mine in one.measured)
        print(f"{one.name:<16}{one.guarantee.replace('_', ' '):<15}{cells}{load:>7.0f}")
    for one in all_of_them:
        if one.name == "worker":
            for line in _targets(case, one, plain[one.guarantee]):
                print(line, flush=True)


def _targets(case: Case, worker: Contender, plain: Contender) -> Iterator[str]:
    guarantee = worker.guarantee.replace("_", " ")
    throughput = _ratio(worker, plain, "scenes/s")
    yield _told(f"{guarantee}: throughput", throughput, f"at least {case.target:.2f}", met=throughput >= case.target)
    for name in ("p50 ms", "p99 ms"):
        ratio = _ratio(worker, plain, name)
        wanted = f"at most {SLOWEST_LATENCY:.2f}"
        yield _told(f"{guarantee}: latency {name.split()[0]}", ratio, wanted, met=ratio <= SLOWEST_LATENCY)


def _told(what: str, ratio: float, wanted: str, *, met: bool) -> str:
    return f"{'target met' if met else 'TARGET MISSED':<14} {what} {ratio:.2f} of the plain loop's, {wanted} is wanted"


def _median(one: Contender, name: str) -> float:
    return statistics.median(map(_FIGURES[name], one.measured))


def _ratio(one: Contender, beside: Contender, name: str) -> float:
    figure = _FIGURES[name]
    return statistics.median(
        figure(mine) / figure(its) for mine, its in zip(one.measured, beside.measured, strict=True)
    )


_DECIMALS = {"scenes/s": 0, "cpu ms": 2, "p50 ms": 0, "p99 ms": 0}

from __future__ import annotations

import time

import pytest

from streams.runtimes.timings import Timings


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that moves on by the next of these seconds each time a call is over."""
    steps: list[float] = []
    now = [0.0]
    at_start = [True]

    def tick() -> float:
        if not at_start[0]:
            now[0] += steps.pop(0)
        at_start[0] = not at_start[0]
        return now[0]

    monkeypatch.setattr(time, "perf_counter", tick)
    return steps


def test_percentiles_are_right_to_a_twentieth(clock: list[float]) -> None:
    milliseconds = [float(n) for n in range(1, 101)]
    clock += [ms / 1000 for ms in milliseconds]
    timings = Timings()
    for _ in milliseconds:
        with timings.measure("bridge"):
            pass
    (shown,) = timings.summary().values()
    assert shown["count"] == 100
    assert 50 <= shown["p50_ms"] <= 50 * 1.05
    assert 99 <= shown["p99_ms"] <= 99 * 1.05


def test_the_count_is_of_scenes_and_stages_are_apart(clock: list[float]) -> None:
    clock += [0.010, 0.020, 0.0]
    timings = Timings()
    for name, scenes in (("b", 8), ("b", 5), ("a", 1)):
        with timings.measure(name, scenes):
            pass
    summary = timings.summary()
    assert list(summary) == ["a", "b"]
    assert [summary[name]["count"] for name in summary] == [1, 13]
    assert summary["a"]["p99_ms"] == 0.001
    assert 20 <= summary["b"]["p99_ms"] <= 21


def test_nothing_timed_is_nothing_shown() -> None:
    assert Timings().summary() == {}

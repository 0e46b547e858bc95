"""Counters and histograms of our own say what prometheus_client's own would have said."""

from __future__ import annotations

import random

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric

from streams.ops.metrics.instruments import Spread, Tally

BOUNDS = (0.0, 0.1, 0.25, 1.0, 10.0)


def samples(families: list[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in families
        for one in family.samples
        if not one.name.endswith("_created")
    }


def test_a_spread_counts_as_prometheus_clients_histogram_does() -> None:
    registry = CollectorRegistry()
    theirs = Histogram("seconds", "Seconds.", ["thread"], registry=registry, buckets=BOUNDS)
    ours = Spread("seconds", "Seconds.", BOUNDS, ("thread",))
    rng = random.Random(1)
    for value in [*BOUNDS, *(rng.uniform(0.0, 12.0) for _ in range(500))]:
        thread = rng.choice("ab")
        theirs.labels(thread).observe(value)
        ours.at((thread,)).observe(value)
    assert samples([ours.family()]) == pytest.approx(samples(list(registry.collect())))


def test_a_tally_counts_as_prometheus_clients_counter_does() -> None:
    registry = CollectorRegistry()
    theirs = Counter("letters", "Letters.", ["reason"], registry=registry)
    ours = Tally("letters", "Letters.", ("reason",), [("poison",)])
    theirs.labels("poison")
    for reason, amount in (("too_long", 1.0), ("poison", 2.0), ("too_long", 0.5)):
        theirs.labels(reason).inc(amount)
        ours.add((reason,), amount)
    assert samples([ours.family()]) == samples(list(registry.collect()))


def test_what_is_known_is_shown_before_it_is_counted() -> None:
    assert samples([Tally("n", "N.").family()]) == {("n_total", frozenset()): 0.0}
    assert samples([Tally("n", "N.", ("a",), ()).family()]) == {}
    spread = Spread("s", "S.", BOUNDS)
    spread.at()
    assert samples([spread.family()])[("s_count", frozenset())] == 0.0


def test_what_is_below_nothing_counts_as_nothing() -> None:
    spread = Spread("gain", "Gain.", BOUNDS)
    spread.at().observe(-0.5)
    found = samples([spread.family()])
    assert found[("gain_sum", frozenset())] == 0.0
    assert found[("gain_bucket", frozenset({("le", "0.0")}))] == 1.0

"""Durations as counts in bins, each a tenth wider than the one before: percentiles to within 5 %, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Mapping

from streams.ops.pulse.pulse import Ages

_SHORTEST_SECONDS = 0.001
_WIDER = 1.1
_MOST_BINS = 240


def bin_of(seconds: float) -> int:
    """Return the bin of a duration; all under a millisecond is in bin 0."""
    if seconds < _SHORTEST_SECONDS:
        return 0
    return min(1 + math.floor(math.log(seconds / _SHORTEST_SECONDS, _WIDER)), _MOST_BINS)


def middle_seconds(number: int) -> float:
    """Return what a bin's durations are told as: the geometric middle of the bin."""
    return 0.0 if number == 0 else _SHORTEST_SECONDS * _WIDER ** (number - 0.5)


def ages_of(bins: Mapping[int, int]) -> Ages:
    """Return the percentiles of durations counted by bin."""
    count = sum(bins.values())
    if not count:
        return Ages()
    ordered = sorted(bins.items())
    return Ages(
        count=count,
        p50_seconds=_percentile(ordered, count, 0.50),
        p99_seconds=_percentile(ordered, count, 0.99),
        most_seconds=round(middle_seconds(ordered[-1][0]), 4),
    )


def _percentile(ordered: list[tuple[int, int]], count: int, share: float) -> float:
    """Return the smallest duration that at least `share` of all do not exceed."""
    wanted, passed = math.ceil(count * share), 0
    for number, here in ordered:
        passed += here
        if passed >= wanted:
            return round(middle_seconds(number), 4)
    return round(middle_seconds(ordered[-1][0]), 4)

"""Metastability: not breaking under deviation and coming back to form, as the labels tell it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from streams.ops.pulse.pulse import Metastability, Standing
from streams.ops.pulse.windows import time_of

FEWEST_LABELS = 20
TRAIL = 6
_Z = 1.96


class Labels(NamedTuple):
    """Labels that counted from `at` on, and how many of them were rejections."""

    at: float
    labels: int
    errors: int


def rate_of(trail: Sequence[Labels], fewest: int) -> float | None:
    """Return the error rate of some moments together; None with too few labels."""
    labels = sum(one.labels for one in trail)
    return sum(one.errors for one in trail) / labels if labels >= fewest else None


def judge(moments: Sequence[Labels], target: float) -> Metastability:
    """Return how the error rate stood to its target over some moments, oldest first.

    Each moment is judged by the labels of itself and the five before it; with fewer than 20 it changes nothing.
    """
    standing: Standing = "unknown"
    over_since: float | None = None
    returned_at: float | None = None
    worst: float | None = None
    for place, moment in enumerate(moments):
        trail = moments[max(0, place - TRAIL + 1) : place + 1]
        rate = rate_of(trail, FEWEST_LABELS)
        if rate is None:
            continue
        if standing == "over":
            worst = max(rate, rate if worst is None else worst)
            if rate <= target:
                standing, returned_at = "returned", moment.at
        elif lower_end(sum(one.errors for one in trail), sum(one.labels for one in trail)) > target:
            standing, over_since, returned_at, worst = "over", moment.at, None, rate
        elif standing == "unknown":
            standing = "steady"
    labels, errors = sum(one.labels for one in moments), sum(one.errors for one in moments)
    return Metastability(
        target=target,
        standing=standing,
        labels=labels,
        errors=errors,
        rate=None if labels == 0 else errors / labels,
        over_since=time_of(over_since),
        returned_at=time_of(returned_at),
        worst_rate=worst,
    )


def lower_end(errors: int, labels: int) -> float:
    """Return the lower end of the 95 % interval of a rate, after E. B. Wilson, JASA 22 (1927)."""
    rate, square = errors / labels, _Z * _Z
    centre = rate + square / (2 * labels)
    spread = _Z * math.sqrt(rate * (1 - rate) / labels + square / (4 * labels * labels))
    return max(0.0, (centre - spread) / (1 + square / labels))

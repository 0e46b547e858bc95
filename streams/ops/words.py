"""Numbers as people read them."""

from __future__ import annotations

import math

_UNITS = ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min"))


def duration(seconds: float) -> str:
    """Return a length of time: 0.4 s, 12 s, 4.5 min, 3.2 h, 6 days; infinity is never."""
    if math.isinf(seconds):
        return "never"
    for unit, name in _UNITS:
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}" if seconds < 1000 * unit else f"{seconds / unit:,.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 9.95 or seconds == 0 else f"{seconds:.1f} s"


def rate(per_second: float) -> str:
    """Return a rate of records: 0.25/s, 12/s, 4,200/s."""
    if per_second == 0 or abs(per_second) >= 10:
        return f"{per_second:,.0f}/s"
    return f"{per_second:.2g}/s"


def records(count: int) -> str:
    """Return a number of records, with the noun."""
    return counted(count, "record")


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, which takes an s: 1 letter, 2,000 letters."""
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"

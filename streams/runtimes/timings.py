"""Timings in bounded memory: counts in bins that widen by 5 %, so a percentile is right to 5 %."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_WIDTH = 1.05
_SMALLEST_MS = 1e-3


class Timings:
    """How long each stage took, in milliseconds a call; `count` is of scenes."""

    def __init__(self) -> None:
        self._bins: dict[str, Counter[int]] = {}
        self._counts: Counter[str] = Counter()

    @contextmanager
    def measure(self, name: str, scenes: int = 1) -> Iterator[None]:
        """Time a call of stage `name` that handles so many scenes."""
        start = time.perf_counter()
        yield
        self.add(name, (time.perf_counter() - start) * 1000, scenes)

    def add(self, name: str, elapsed_ms: float, scenes: int = 1) -> None:
        """Count what took so long elsewhere."""
        number = max(0, math.ceil(math.log(max(elapsed_ms, _SMALLEST_MS) / _SMALLEST_MS, _WIDTH)))
        self._bins.setdefault(name, Counter())[number] += 1
        self._counts[name] += scenes

    def summary(self) -> Mapping[str, Mapping[str, float]]:
        """Return {name: {count, p50_ms, p99_ms}}."""
        return {
            name: {
                "count": self._counts[name],
                "p50_ms": self._percentile(name, 0.5),
                "p99_ms": self._percentile(name, 0.99),
            }
            for name in sorted(self._bins)
        }

    def _percentile(self, name: str, share: float) -> float:
        bins = self._bins[name]
        wanted = share * bins.total()
        seen = 0
        for number in sorted(bins):
            seen += bins[number]
            if seen >= wanted:
                return round(_SMALLEST_MS * _WIDTH**number, 4)
        return 0.0

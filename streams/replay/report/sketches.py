"""Bounded summaries of streams of unknown length: a histogram, a timeline that coarsens, the most frequent pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Generic, TypeVar

Cell = TypeVar("Cell")
Key = TypeVar("Key")


@dataclass(slots=True)
class Histogram:
    """Counts of numbers in equal bins between `low` and `high`; what lies beyond goes to the outermost bins."""

    low: float
    high: float
    bins: int
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * self.bins

    @property
    def total(self) -> int:
        """How many numbers were added."""
        return sum(self.counts)

    @property
    def width(self) -> float:
        """The width of a bin, in the unit of the numbers."""
        return (self.high - self.low) / self.bins

    @property
    def centres(self) -> list[float]:
        """The middle of each bin."""
        return [round(self.low + (index + 0.5) * self.width, 6) for index in range(self.bins)]

    def add(self, value: float | None) -> None:
        """Count `value`; None is no number and is passed over."""
        if value is not None:
            # The nudge keeps .3 in the bin that starts at .3 although 30 * .01 is a little more.
            index = int((value - self.low) / self.width + 1e-9)
            self.counts[min(max(index, 0), self.bins - 1)] += 1

    def coarse(self, factor: int) -> list[int]:
        """Return the counts with each `factor` neighbouring bins put together."""
        return [sum(self.counts[start : start + factor]) for start in range(0, self.bins, factor)]

    def quantile(self, share: float) -> float | None:
        """Return the middle of the bin where `share` of the numbers is reached; None where there are none."""
        total = self.total
        reached = 0
        for centre, count in zip(self.centres, self.counts, strict=True):
            reached += count
            if count and reached >= share * total:
                return centre
        return None

    def merge(self, other: Histogram) -> None:
        """Add the counts of `other`, a histogram of the same bins."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]


@dataclass(slots=True)
class Timeline(Generic[Cell]):
    """Cells of equal width along a stream; when there are too many, neighbours are merged and the width doubles."""

    new: Callable[[], Cell]
    merge: Callable[[Cell, Cell], Cell]
    most: int = 60
    width: int = 1
    cells: list[Cell] = field(default_factory=list)

    def at(self, position: int) -> Cell:
        """Return the cell of `position` (0 and up, never smaller than the start of the last cell)."""
        while position // self.width >= self.most:
            self.cells = [
                left if right is None else self.merge(left, right)
                for left, right in zip_longest(self.cells[::2], self.cells[1::2])
            ]
            self.width *= 2
        while len(self.cells) <= position // self.width:
            self.cells.append(self.new())
        return self.cells[position // self.width]

    @property
    def starts(self) -> list[int]:
        """The position at which each cell begins."""
        return [index * self.width for index in range(len(self.cells))]


@dataclass(slots=True)
class Frequent(Generic[Key]):
    """How often each key came, and the sum of a value beside it; rare keys are dropped when there are too many."""

    most: int = 20_000
    counts: Counter[Key] = field(default_factory=Counter)
    sums: dict[Key, float] = field(default_factory=dict)
    dropped: int = 0

    def add(self, key: Key, value: float = 0.0) -> None:
        """Count `key` once, with `value` beside it."""
        self.counts[key] += 1
        self.sums[key] = self.sums.get(key, 0.0) + value
        if len(self.counts) > self.most:
            kept = self.counts.most_common(self.most // 2)
            self.dropped += len(self.counts) - len(kept)
            self.counts = Counter(dict(kept))
            self.sums = {key: self.sums[key] for key in self.counts}

    def top(self, count: int) -> list[tuple[Key, int, float]]:
        """Return the `count` most frequent keys with their counts and mean values; ties in the order of the keys."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], str(item[0])))[:count]
        return [(key, times, self.sums[key] / times) for key, times in ranked]

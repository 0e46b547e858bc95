"""The heaviest keys of a stream in bounded memory: the space-saving sketch, in segments that slide with time.

Metwally, Agrawal and El Abbadi, Efficient Computation of Frequent and Top-k Elements in Data Streams (2005). A key with
more than 1/counters of a segment's records is always among those kept.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heavy:
    """A key and its count, which is too high by `error` at most."""

    key: str
    count: int
    error: int


class SpaceSaving:
    """Counts of at most `counters` keys; a new key takes the place of the lightest and inherits its count as error."""

    def __init__(self, counters: int) -> None:
        self.total = 0
        self._counters = counters
        self._counts: dict[str, tuple[int, int]] = {}

    def add(self, key: str) -> None:
        """Count one record of `key`."""
        self.total += 1
        held = self._counts.get(key)
        if held is not None:
            self._counts[key] = (held[0] + 1, held[1])
        elif len(self._counts) < self._counters:
            self._counts[key] = (1, 0)
        else:
            lightest = min(self._counts, key=lambda one: self._counts[one][0])
            count, _ = self._counts.pop(lightest)
            self._counts[key] = (count + 1, count)

    def get(self, key: str) -> tuple[int, int]:
        """Return the count of `key` and its error: of one that is not kept, at most the lightest's count."""
        held = self._counts.get(key)
        if held is not None:
            return held
        unkept = self.unkept
        return unkept, unkept

    @property
    def unkept(self) -> int:
        """How often a key that is not kept can have come at most."""
        if len(self._counts) < self._counters:
            return 0
        return min(count for count, _ in self._counts.values())

    @property
    def keys(self) -> set[str]:
        """The keys that are kept."""
        return set(self._counts)


class HeavyKeys:
    """The heaviest keys of one partition over a window of `segments` x `segment_seconds`."""

    def __init__(self, segment_seconds: float, segments: int, counters: int, now: float) -> None:
        self._seconds = segment_seconds
        self._counters = counters
        self._head = math.floor(now / segment_seconds)
        self._segments = deque((SpaceSaving(counters) for _ in range(segments)), maxlen=segments)

    def advance(self, now: float) -> None:
        """Let time go on to `now`; it never goes back."""
        steps = math.floor(now / self._seconds) - self._head
        for _ in range(min(max(steps, 0), len(self._segments))):
            self._segments.append(SpaceSaving(self._counters))
        self._head += max(steps, 0)

    def add(self, key: str, at: float | None) -> None:
        """Count a record of `key`; one that is older than the window is not counted."""
        age = 0 if at is None else max(0, self._head - math.floor(at / self._seconds))
        if age < len(self._segments):
            self._segments[-1 - age].add(key)

    @property
    def total(self) -> int:
        """All records of the window."""
        return sum(segment.total for segment in self._segments)

    def heaviest(self, most: int) -> list[Heavy]:
        """Return the heaviest keys of the whole window, the heaviest first."""
        used = [segment for segment in self._segments if segment.keys]
        found = []
        for key in {key for segment in used for key in segment.keys}:
            held = [segment.get(key) for segment in used]
            found.append(Heavy(key, sum(count for count, _ in held), sum(error for _, error in held)))
        return sorted(found, key=lambda one: (one.error - one.count, one.key))[:most]

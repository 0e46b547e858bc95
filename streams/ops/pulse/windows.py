"""A sliding window of counts: buckets of equal length, oldest forgotten first; time is an argument."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Hashable, Iterator, Mapping
from datetime import UTC, datetime

Name = tuple[Hashable, ...]


class Window:
    """Counts by name over the last `buckets` times `bucket_seconds` before the latest `advance`.

    Memory is buckets x names: whoever adds sees to it that names are few. Counts are whole numbers, so the order in
    which they come changes nothing.
    """

    def __init__(self, bucket_seconds: float, buckets: int, now: float) -> None:
        self.bucket_seconds = bucket_seconds
        # What was too old to be counted when it came, and what bore a time to come.
        self.late = 0
        self.ahead = 0
        self._buckets: deque[Counter[Name]] = deque((Counter() for _ in range(buckets)), maxlen=buckets)
        self._head = self._number(now)
        self._total: Counter[Name] = Counter()

    def advance(self, now: float) -> None:
        """Let time go on to `now`; it never goes back."""
        steps = self._number(now) - self._head
        for _ in range(min(max(steps, 0), len(self._buckets))):
            self._forget(self._buckets[0])
            self._buckets.append(Counter())
        self._head += max(steps, 0)

    def reaches(self, at: float | None) -> bool:
        """Return whether what happened then is within the window, and note where it is not; None is now."""
        if at is None:
            return True
        age = self._head - self._number(at)
        self.ahead += age < 0
        self.late += age >= len(self._buckets)
        return age < len(self._buckets)

    def add(self, name: Name, at: float | None, amount: int = 1) -> None:
        """Count what happened at `at`, which the window reaches; a time to come counts as now."""
        age = 0 if at is None else max(0, self._head - self._number(at))
        if age < len(self._buckets):
            self._buckets[-1 - age][name] += amount
            self._total[name] += amount

    def sums(self, buckets: int | None = None) -> Mapping[Name, int]:
        """Return the counts of the last so many buckets; of all by default."""
        if buckets is None or buckets >= len(self._buckets):
            return self._total
        summed: Counter[Name] = Counter()
        for number in range(buckets):
            summed.update(self._buckets[-1 - number])
        return summed

    def moments(self, buckets: int, together: int) -> Iterator[tuple[float, Mapping[Name, int]]]:
        """Yield when a moment of `together` buckets began and its counts, oldest first, over the last `buckets`."""
        count = math.ceil(min(buckets, len(self._buckets)) / together)
        for moment in range(count - 1, -1, -1):
            summed: Counter[Name] = Counter()
            for age in range(moment * together, min((moment + 1) * together, len(self._buckets))):
                summed.update(self._buckets[-1 - age])
            yield (self._head + 1 - (moment + 1) * together) * self.bucket_seconds, summed

    def start(self, buckets: int | None = None) -> float:
        """Return when the last so many buckets began."""
        return (self._head + 1 - min(buckets or len(self._buckets), len(self._buckets))) * self.bucket_seconds

    def __len__(self) -> int:
        return len(self._buckets)

    def _number(self, at: float) -> int:
        return math.floor(at / self.bucket_seconds)

    def _forget(self, bucket: Counter[Name]) -> None:
        for name, count in bucket.items():
            left = self._total[name] - count
            if left:
                self._total[name] = left
            else:
                del self._total[name]


class FewNames:
    """Keeps names that others chose to a number: those that come when it is full go by None, together."""

    def __init__(self, most: int, characters: int = 80) -> None:
        self._most = most
        self._characters = characters
        self._known: dict[str, None] = {}

    @property
    def full(self) -> bool:
        """Whether a new name would get none."""
        return len(self._known) >= self._most

    def name(self, text: str) -> str | None:
        """Return the name, cut to its length, or None where there is no room for another."""
        cut = text if len(text) <= self._characters else text[: self._characters - 1] + "…"
        if cut not in self._known:
            if self.full:
                return None
            self._known[cut] = None
        return cut

    def keep(self, names: set[str]) -> None:
        """Forget all but these."""
        self._known = {name: None for name in self._known if name in names}


def time_of(at: float | None) -> datetime | None:
    """Return epoch seconds as a time; None stays None."""
    return None if at is None else datetime.fromtimestamp(at, UTC)

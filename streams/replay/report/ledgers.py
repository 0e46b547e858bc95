"""The ledger as the report follows it: accounts at their worst and in the middle, and who came nearest to the bound."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.replay.report.sketches import Histogram

_TIGHTEST = 5


@dataclass(frozen=True, slots=True)
class LedgerPoint:
    """An account at one decision: what it held (errors and expected or pending ones) against its bound."""

    key: str
    position: int
    offered: int
    emitted: int
    errors: int
    pending: int
    held: float
    bound: float

    @property
    def share(self) -> float:
        """What was held as a share of the bound, 0 and up; 1 is the bound."""
        return self.held / self.bound if self.bound > 0 else float(self.held > 0) * 2.0


@dataclass(slots=True)
class LedgerCell:
    """An account of all users over one stretch of the run."""

    shares: Histogram = field(default_factory=lambda: Histogram(0.0, 2.0, 80))
    worst: LedgerPoint | None = None

    def add(self, point: LedgerPoint) -> None:
        """Count one decision's account."""
        self.shares.add(point.share)
        self._weigh(point)

    def merge(self, other: LedgerCell) -> None:
        """Add what another stretch held."""
        self.shares.merge(other.shares)
        if other.worst is not None:
            self._weigh(other.worst)

    def _weigh(self, point: LedgerPoint) -> None:
        if self.worst is None or point.share > self.worst.share:
            self.worst = point


@dataclass(slots=True)
class Tightest:
    """The few keys that came nearest to their bound, each at its tightest moment."""

    points: dict[str, LedgerPoint] = field(default_factory=dict)
    over: int = 0
    seen: int = 0

    def add(self, point: LedgerPoint) -> None:
        """Weigh one decision's account."""
        self.seen += 1
        self.over += point.held > point.bound + 1e-3
        known = self.points.get(point.key)
        if known is not None and known.share >= point.share:
            return
        self.points[point.key] = point
        if len(self.points) > _TIGHTEST:
            del self.points[min(self.points.values(), key=lambda kept: (kept.share, kept.key)).key]

    @property
    def ranked(self) -> list[LedgerPoint]:
        """The points, the tightest first."""
        return sorted(self.points.values(), key=lambda point: (-point.share, point.key))

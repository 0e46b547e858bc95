"""The wall clock, that people and records go by, held against a steady one that nobody sets."""

from __future__ import annotations

# Less is what two readings of two clocks differ by on a busy machine, or a clock that is brought back slowly.
_SET_SECONDS = 2.0


class WallClock:
    """Times by the wall, of moments of a steady clock (seconds both); time is an argument."""

    def __init__(self, wall: float, steady: float) -> None:
        self._ahead = wall - steady

    def was_set(self, wall: float, steady: float) -> bool:
        """Take both readings of now; return whether the wall clock was set since the last ones."""
        ahead = wall - steady
        if abs(ahead - self._ahead) <= _SET_SECONDS:
            return False
        self._ahead = ahead
        return True

    def at(self, steady: float) -> float:
        """Return what the wall clock, as it is set now, would have said then, to the millisecond."""
        return round(steady + self._ahead, 3)

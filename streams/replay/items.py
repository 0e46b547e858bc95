"""What a log yields: events in the order of the log, each with where it stood."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.dead import DeadLetter
from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.stages.admit import Refusal

RAW_CHARACTERS = 2000
_LONGEST_UTF8 = 4


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a log; `raw` is what stood there, `size_bytes` how much that was before it was cut to be kept."""

    source: str
    line: int
    raw: bytes
    size_bytes: int = 0

    def kept(self) -> Where:
        """Return this place with no more of its line than a dead letter shows, for many lines are open at once."""
        return Where(self.source, self.line, self.raw[: RAW_CHARACTERS * _LONGEST_UTF8], self.size_bytes)

    def dead(self, refusal: Refusal) -> DeadLetter:
        """Return the dead letter for what stood here."""
        raw = self.raw[: RAW_CHARACTERS * _LONGEST_UTF8].decode("utf-8", "replace")[:RAW_CHARACTERS]
        return DeadLetter(source=self.source, line=self.line, reason=refusal.reason, detail=refusal.detail, raw=raw)


@dataclass(frozen=True, slots=True)
class Item:
    """One event of a log, or why there is none; `truth` is the draft before a replay spoilt it."""

    where: Where
    event: Scene | Feedback | Refusal
    truth: str | None = None

"""What a log yields: events in the order of the log, each with where it stood."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.dead import DeadLetter
from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.stages.admit import Refusal

RAW_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a log; `raw` is what stood there."""

    source: str
    line: int
    raw: bytes

    def dead(self, refusal: Refusal) -> DeadLetter:
        """Return the dead letter for what stood here."""
        raw = self.raw[: RAW_CHARACTERS * 4].decode("utf-8", "replace")[:RAW_CHARACTERS]
        return DeadLetter(source=self.source, line=self.line, reason=refusal.reason, detail=refusal.detail, raw=raw)


@dataclass(frozen=True, slots=True)
class Item:
    """One event of a log, or why there is none; `truth` is the draft before a replay spoilt it."""

    where: Where
    event: Scene | Feedback | Refusal
    truth: str | None = None

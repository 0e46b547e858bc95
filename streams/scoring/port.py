"""What a runtime asks of the models: five methods, lists of scenes in, lists of plain values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from models.situation import Situation
from schemas.names import Register
from schemas.scene import Scene
from streams.stages.admit import Terms
from streams.stages.reading import Candidate, Reading, Rendering


@dataclass(frozen=True, slots=True)
class Encoded:
    """A scene, and what the encoder made of its texts; runtimes pass it on and look no deeper."""

    scene: Scene
    situation: Situation
    cut: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """A scene to be healed, the register to hold it in (None: as it is), and how many codes the listener wants."""

    encoded: Encoded
    register: Register | None
    codes: int


class Scorer(Protocol):
    """The models, as a runtime sees them; batches never change a result.

    One thread calls `encode`, which owns the encoder; scenes without texts any thread may bring. One other calls
    `read`, `render` and `bridge`.
    """

    def encode(self, scenes: Sequence[Scene]) -> list[Encoded]:
        """Return each scene with the vectors of its texts."""

    def read(self, scenes: Sequence[Encoded]) -> list[Reading]:
        """Return how each scene, fresh or healed, resonates."""

    def render(self, wishes: Sequence[Wish]) -> list[Rendering]:
        """Return each scene's embedding decomposed in the register wished for."""

    def bridge(self, wishes: Sequence[Wish]) -> list[tuple[Candidate, ...]]:
        """Return for each scene the chains that may stand for its own, at least one."""

    def terms(self) -> Terms:
        """Return what the models ask of an event."""

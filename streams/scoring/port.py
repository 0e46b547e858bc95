"""What a runtime asks of the models: five methods, lists of scenes in, lists of plain values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.names import Register
from schemas.scene import Scene
from streams.stages.admit import Terms
from streams.stages.reading import Candidate, Reading, Rendering


@dataclass(frozen=True, slots=True)
class Wish:
    """A scene to be healed, the register to hold it in (None: as it is), and how many codes the listener wants."""

    scene: Scene
    register: Register | None
    codes: int


class Scorer(Protocol):
    """The models, as a runtime sees them; one thread calls them, and batches never change a result."""

    def read(self, scenes: Sequence[Scene]) -> list[Reading]:
        """Return how each scene, fresh or healed, resonates."""

    def render(self, wishes: Sequence[Wish]) -> list[Rendering]:
        """Return each scene's embedding decomposed in the register wished for."""

    def bridge(self, wishes: Sequence[Wish]) -> list[tuple[Candidate, ...]]:
        """Return for each scene the chains that may stand for its own, at least one."""

    def terms(self) -> Terms:
        """Return what the models ask of an event."""

    def describe(self) -> Mapping[str, str]:
        """Return the name and sha256 of everything that decides."""

"""What models say of a scene, as plain values: the stages see no arrays but the embedding they pass on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.decision import Parts
from schemas.names import Register
from schemas.scene import Chain


@dataclass(frozen=True, slots=True)
class Reading:
    """A scene as the models see it.

    `p_form` is None for a healed scene: its form is never judged. `voice` is the register that the chain leans to.
    `embedding` is float32 (d,), the draft's; a chain's own vector where there is no draft.
    """

    p_form: float | None
    chain: Chain
    parts: Parts
    voice: Register | None
    embedding: NDArray[np.float32]
    cut: bool


@dataclass(frozen=True, slots=True)
class Rendering:
    """The same embedding, decomposed in another register; `risk` is the probability that it misses the meaning."""

    register: Register
    chain: Chain
    symbols: tuple[str, ...]
    fidelity: float
    risk: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chain that the bridge offers in place of the old one.

    `closeness[i][j]` is the cosine of old code i and new code j. `risk` is the calibrated probability that the chain is
    farther than .30 from what should have been said.
    """

    source: Literal["blend", "authored"]
    chain: Chain
    symbols: tuple[str, ...]
    closeness: tuple[tuple[float, ...], ...]
    fidelity: float
    gain: float
    risk: float
    activated: bool
    nearest_reply: str | None

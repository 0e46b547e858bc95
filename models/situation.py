"""What the models know of one scene, and the one definition of its context vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.arrays import FloatArray, unit

CONTEXT_TURNS = 6
CONTEXT_DECAY = 0.5


@dataclass(frozen=True, slots=True)
class Chain:
    """One to five concept codes of the lexicon (row numbers) with their weights (>= 0), in falling order of weight."""

    codes: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """One scene as arrays.

    `draft` is the unit embedding (d,) of the draft, None when the scene arrived as a chain. `context` holds the unit
    embeddings (t, d) of what was said before, oldest first; t may be 0. `context_roles` are user, assistant or system.
    `chain` is set when the sender gave one.
    """

    draft_text: str | None
    draft: FloatArray | None
    context_texts: tuple[str, ...]
    context_roles: tuple[str, ...]
    context: FloatArray
    chain: Chain | None = None


def context_vector(situation: Situation) -> FloatArray:
    """Where the scene lands: the mean of its last six turns, each half as heavy as the one after it, at unit length.

    Returns (d,) float32; zeros when nothing was said before. The last turn, to which the draft replies, holds half of
    the weight.
    """
    return weigh_context(situation.context)


def weigh_context(turns: FloatArray) -> FloatArray:
    """Do what context_vector does for bare turn vectors (t, d), oldest first; returns (d,), zeros when t is 0."""
    recent = turns[-CONTEXT_TURNS:].astype(np.float64)
    weights = CONTEXT_DECAY ** np.arange(len(recent) - 1, -1, -1, dtype=np.float64)
    return unit(np.sum(recent * weights[:, None], axis=0).astype(np.float32))

"""The measures of a scene beside its probabilities: formulas over arrays, nothing learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.arrays import FloatArray

DEPTH_TEMPERATURE = 0.05
DENSITY_WORDS = 10


def cosines(vector: FloatArray, rows: FloatArray) -> NDArray[np.float64]:
    """Cosines of one unit vector (d,) with unit rows (t, d); returns (t,) float64, empty when there are no rows."""
    products: NDArray[np.float64] = rows.astype(np.float64) * vector.astype(np.float64)
    summed: NDArray[np.float64] = products.sum(axis=1)
    return summed


def activation(context: NDArray[np.float64], memory: NDArray[np.float64] | Sequence[float] = ()) -> float:
    """How strongly the draft touches what was said: its highest cosine with a context turn or a memory context, -1..1.

    Takes the draft's cosines with both (see `cosines`); 0 when there are none.
    """
    return max((float(np.max(part)) for part in (context, memory) if len(part)), default=0.0)


def depth(context: NDArray[np.float64]) -> float:
    """How far back the draft reaches: the expected age of what it activates, 0 (the last turn) to 1 (the first).

    Takes the draft's cosines with the context turns, oldest first, and weighs ages by softmax(cos / .05). 0 with one
    turn or none.
    """
    turns = len(context)
    if turns < 2:
        return 0.0
    weights = np.exp((context - np.max(context)) / DEPTH_TEMPERATURE)
    ages = np.arange(turns - 1, -1, -1, dtype=np.float64)
    return float(np.sum(weights * ages) / np.sum(weights) / (turns - 1))


def field(vectors: FloatArray, weights: FloatArray, contexts: FloatArray) -> FloatArray:
    """How the codes excite where they land: the weighted mean of max(0, D_i . c) over each chain's codes, 0..1.

    Takes the codes' dictionary vectors (n, k, d), their weights (n, k) with 0 for padding, and the context vectors
    (n, d); returns (n,) float32, 0 for an empty chain or an empty context.
    """
    excited = np.maximum(0.0, (vectors.astype(np.float64) * contexts[:, None, :]).sum(axis=-1))
    return _weighted_mean(excited, weights)


def tension(vectors: FloatArray, weights: FloatArray) -> FloatArray:
    """How the codes pull apart: 1 - |sum w_i D_i| / sum w_i; 0 when they point one way, towards 1 when they cancel.

    Takes the codes' dictionary vectors (n, k, d) and weights (n, k) with 0 for padding; returns (n,) float32 in 0..1,
    0 for a single code and for an empty chain.
    """
    pulled = (vectors.astype(np.float64) * weights[:, :, None]).sum(axis=1)
    lengths = np.sqrt((pulled * pulled).sum(axis=-1))
    totals = weights.sum(axis=-1, dtype=np.float64)
    held = np.divide(lengths, totals, out=np.ones_like(lengths), where=totals > 0.0)
    pulls: FloatArray = np.clip(1.0 - held, 0.0, 1.0).astype(np.float32)
    return pulls


def density(codes: int, draft_text: str | None, k: int) -> float:
    """Codes per ten words of the draft (words are parted by white space); codes / k for a scene without text."""
    if draft_text is None:
        return codes / k
    return DENSITY_WORDS * codes / max(1, len(draft_text.split()))


def _weighted_mean(values: NDArray[np.float64], weights: FloatArray) -> FloatArray:
    totals = weights.sum(axis=-1, dtype=np.float64)
    sums = (values * weights).sum(axis=-1)
    means = np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0.0)
    # A cosine of float32 unit vectors may pass 1 by one part in ten million.
    clipped: FloatArray = np.clip(means, 0.0, 1.0).astype(np.float32)
    return clipped

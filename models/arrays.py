"""Names for the arrays that scorers exchange, and the one way they are brought to unit length."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float32]
IntArray: TypeAlias = NDArray[np.int32]
BoolArray: TypeAlias = NDArray[np.bool_]


def unit(rows: FloatArray) -> FloatArray:
    """Scale each row (last axis) to length 1; rows of zeros stay zeros.

    Takes and returns float32 of any shape (..., d). Sums run in float64 and row by row, so a row's bits do not depend
    on the rows beside it.
    """
    wide = rows.astype(np.float64)
    lengths = np.sqrt(np.sum(wide * wide, axis=-1, keepdims=True))
    scaled: FloatArray = np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0.0).astype(np.float32)
    return scaled

"""The ridge predictor: the next turn's vector from the last two turns and c, in closed form."""

from __future__ import annotations

import numpy as np

from models.arrays import FloatArray
from models.training.pairs import Pairs

PENALTY = 30.0


def train_ridge(pairs: Pairs, penalty: float = PENALTY) -> tuple[FloatArray, FloatArray]:
    """Solve for weights (3d, d) and bias (d,) so that context @ weights + bias is near the reply."""
    mean_context, mean_reply = pairs.context.mean(axis=0, dtype=np.float64), pairs.reply.mean(axis=0, dtype=np.float64)
    context, reply = pairs.context - mean_context, pairs.reply - mean_reply
    gram = context.T @ context + penalty * np.eye(context.shape[1])
    weights = np.linalg.solve(gram, context.T @ reply)
    return weights.astype(np.float32), (mean_reply - mean_context @ weights).astype(np.float32)

"""Two linear towers, taught by InfoNCE to tell the next turn from other turns, the last user turn among them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from models.arrays import FloatArray, unit
from models.training.pairs import Pairs

WIDTH = 128
SCALE = 12.0
EPOCHS = 12
# Pairs of one dialogue are negatives of each other: telling them apart is the harder half of the task.
GROUPS_PER_BATCH = 128
PAIRS_PER_GROUP = 4
STEP = 1e-3
DECAY = 2e-2


@dataclass(frozen=True, slots=True, eq=False)
class TowerWeights:
    """Matrices of both towers, query (3d, 128) and key (d, 128), and the scale of their scores."""

    query: FloatArray
    key: FloatArray
    scale: float


@dataclass(slots=True, eq=False)
class _Adam:
    weights: FloatArray
    first: FloatArray = field(init=False)
    second: FloatArray = field(init=False)
    steps: int = 0

    def __post_init__(self) -> None:
        self.first = np.zeros_like(self.weights)
        self.second = np.zeros_like(self.weights)

    def step(self, gradient: FloatArray, size: float) -> None:
        self.steps += 1
        self.first += 0.1 * (gradient - self.first)
        self.second += 0.001 * (gradient * gradient - self.second)
        fixed = self.first / (1 - 0.9**self.steps) / (np.sqrt(self.second / (1 - 0.999**self.steps)) + 1e-8)
        self.weights -= (size * (fixed + DECAY * self.weights)).astype(np.float32)


def train_towers(pairs: Pairs, seed: int) -> TowerWeights:
    """Teach both towers on pairs; plain numpy, seeded, about a minute for 30,000 pairs on one core."""
    rng = np.random.default_rng(seed)
    d = pairs.reply.shape[1]
    start = _principal_axes(pairs.reply, WIDTH)
    key = _Adam(start.copy())
    query = _Adam(np.concatenate([0.6 * start, 0.2 * start, 0.6 * start]).astype(np.float32))
    order = np.arange(len(pairs.reply))
    for epoch in range(EPOCHS):
        size = STEP * (1 - epoch / EPOCHS)
        for rows in _batches(pairs, order, rng):
            contexts, replies = pairs.context[rows], pairs.reply[rows]
            # The echo: the last user turn as a negative of its own row.
            candidates = np.concatenate([replies, contexts[:, :d]])
            gradient_query, gradient_key = _gradients(contexts, candidates, query.weights, key.weights)
            query.step(gradient_query, size)
            key.step(gradient_key, size)
    return TowerWeights(query.weights, key.weights, SCALE)


def _principal_axes(rows: FloatArray, count: int) -> FloatArray:
    centred = rows - rows.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(axes[:, ::-1][:, :count]).astype(np.float32)


def _batches(pairs: Pairs, order: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Deal small groups of pairs of one dialogue into batches."""
    shuffled = order[np.lexsort((rng.random(len(order)), pairs.dialogue))]
    owners = pairs.dialogue[shuffled]
    place = np.arange(len(order)) - np.searchsorted(owners, owners)
    groups = owners.astype(np.int64) * 64 + place // PAIRS_PER_GROUP
    _, number = np.unique(groups, return_inverse=True)
    ranks = rng.permutation(number.max() + 1)[number]
    by_rank = shuffled[np.argsort(ranks, kind="stable")]
    size = GROUPS_PER_BATCH * PAIRS_PER_GROUP
    return [by_rank[start : start + size] for start in range(0, len(by_rank) - size // 2, size)]


def _gradients(
    contexts: FloatArray, candidates: FloatArray, query: FloatArray, key: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Give the gradients of the mean InfoNCE loss; row i's reply is candidate i, its echo candidate n + i."""
    count = len(contexts)
    raw_q, raw_k = contexts @ query, candidates @ key
    long_q = np.linalg.norm(raw_q, axis=1, keepdims=True) + 1e-6
    long_k = np.linalg.norm(raw_k, axis=1, keepdims=True) + 1e-6
    q, k = raw_q / long_q, raw_k / long_k
    scores = SCALE * (q @ k.T)
    # The echoes of other rows are other turns; a row's own echo too; only the reply itself is right.
    scores -= scores.max(axis=1, keepdims=True)
    chances = np.exp(scores)
    chances /= chances.sum(axis=1, keepdims=True)
    chances[np.arange(count), np.arange(count)] -= 1
    chances *= SCALE / count
    grad_q, grad_k = chances @ k, chances.T @ q
    grad_q = (grad_q - q * np.sum(grad_q * q, axis=1, keepdims=True)) / long_q
    grad_k = (grad_k - k * np.sum(grad_k * k, axis=1, keepdims=True)) / long_k
    return (contexts.T @ grad_q).astype(np.float32), (candidates.T @ grad_k).astype(np.float32)


def foreign_sides(pairs: Pairs, weights: TowerWeights, count: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Draw contexts and replies foreign to every scene: unit queries (count, 128), scaled keys (count, 128)."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(pairs.reply), size=(2, count), replace=False)
    queries = unit((pairs.context[rows[0]] @ weights.query).astype(np.float32))
    keys = unit((pairs.reply[rows[1]] @ weights.key).astype(np.float32)) * np.float32(weights.scale)
    return queries, keys

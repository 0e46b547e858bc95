"""What is likely to be said next: two linear towers match replies with contexts, a ridge foretells one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from models.arrays import FloatArray, unit
from models.errors import ModelError
from models.sessions import Runtime, open_session

CONTEXT_FILE = "context_tower.onnx"
REPLY_FILE = "reply_tower.onnx"
# Rows of one block; a block is always full, so that a row meets the same kernels in any batch.
BLOCK_ROWS = 16


@dataclass(frozen=True, slots=True, eq=False)
class ContextSide:
    """What contexts ask for: `query` (n, 128), `ridge` (n, d) unit with its `certainty` (n,) >= 0, and `crowd` (n,).

    `crowd` is how well foreign replies fit this context: the score that a reply must beat.
    """

    query: FloatArray
    ridge: FloatArray
    certainty: FloatArray
    crowd: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ReplySide:
    """What replies answer to: `key` (n, 128), and `common` (n,), how well they fit foreign contexts."""

    key: FloatArray
    common: FloatArray


class Towers:
    """The two towers and the ridge predictor, as two ONNX graphs on one CPU thread."""

    def __init__(self, context: ort.InferenceSession, reply: ort.InferenceSession) -> None:
        self._context = context
        self._reply = reply

    @classmethod
    def open(cls, artifacts: Path, runtime: Runtime) -> Towers:
        """Open both graphs of a folder; raises ModelError when one is missing, corrupt or foreign."""
        sessions = [open_session(artifacts / name, runtime.small()) for name in (CONTEXT_FILE, REPLY_FILE)]
        for session, name, outputs in zip(sessions, (CONTEXT_FILE, REPLY_FILE), (3, 2), strict=True):
            if len(session.get_outputs()) != outputs or len(session.get_inputs()) != 1:
                raise ModelError(f"{artifacts / name} is no tower of ours. Restore it, or run `make models`.")
        return cls(sessions[0], sessions[1])

    def contexts(self, recent: FloatArray, context: FloatArray) -> ContextSide:
        """Ask for replies to n contexts: their last two turns `recent` (n, 2, d), newest first; c `context` (n, d)."""
        rows = np.concatenate([recent[:, 0], recent[:, 1], context], axis=1)
        query, ridge, crowd = _run(self._context, rows)
        lengths = np.sqrt(np.sum(ridge.astype(np.float64) ** 2, axis=1)).astype(np.float32)
        return ContextSide(query, unit(ridge), lengths, crowd)

    def replies(self, vectors: FloatArray) -> ReplySide:
        """Place n replies (n, d)."""
        key, common = _run(self._reply, vectors)
        return ReplySide(key, common)


def fit(query: FloatArray, key: FloatArray) -> FloatArray:
    """Score replies for contexts, row by row: the product of query (n, 128) and key (n, 128), which holds its scale."""
    scores: FloatArray = np.sum(query.astype(np.float64) * key.astype(np.float64), axis=1).astype(np.float32)
    return scores


def _run(session: ort.InferenceSession, rows: FloatArray) -> list[FloatArray]:
    count = len(rows)
    padded = np.pad(rows.astype(np.float32), ((0, -count % BLOCK_ROWS), (0, 0)))
    name = session.get_inputs()[0].name
    blocks = [
        session.run(None, {name: padded[start : start + BLOCK_ROWS]}) for start in range(0, len(padded), BLOCK_ROWS)
    ] or [session.run(None, {name: np.zeros((BLOCK_ROWS, rows.shape[1]), np.float32)})]
    return [np.concatenate([block[index] for block in blocks])[:count] for index in range(len(blocks[0]))]

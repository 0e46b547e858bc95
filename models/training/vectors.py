"""Encodings of the corpora, kept in a cache between runs: the encoder is the slow part of training."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from models.arrays import FloatArray
from models.encoder import Encoder

# Texts are written to the cache after so many, so that an interrupted run loses little.
_CHUNK = 20_000


class TextVectors:
    """Texts and their vectors: each text is encoded once, ever, for one encoder.

    `folder` holds numbered pairs of files (texts as JSON, vectors as .npy) under the encoder's sha256.
    """

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self._encoder = encoder
        self._folder = folder / f"vectors-{encoder.sha256[:16]}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._rows: dict[str, FloatArray] = {}
        for path in sorted(self._folder.glob("*.json")):
            texts = json.loads(path.read_text(encoding="utf-8"))
            self._rows |= dict(zip(texts, np.load(path.with_suffix(".npy")), strict=True))

    def prepare(self, texts: Iterable[str]) -> int:
        """Encode what is not there yet; returns how many texts that were."""
        missing = sorted({text for text in texts if text not in self._rows}, key=lambda text: (len(text), text))
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            vectors = self._encoder.encode(chunk).vectors
            stem = self._folder / f"{len(list(self._folder.glob('*.json'))):05d}"
            np.save(stem.with_suffix(".npy"), vectors)
            stem.with_suffix(".json").write_text(json.dumps(chunk), encoding="utf-8")
            self._rows |= dict(zip(chunk, vectors, strict=True))
        return len(missing)

    def __getitem__(self, text: str) -> FloatArray:
        """Give the unit vector (d,) of a prepared text; raises KeyError for any other."""
        return self._rows[text]

    def rows(self, texts: Iterable[str]) -> FloatArray:
        """Give the unit vectors (n, d) of prepared texts, in order."""
        return np.stack([self._rows[text] for text in texts])

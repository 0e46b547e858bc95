"""Texts as token ids, padded so that a text's vector never depends on its neighbours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as WordPieces

from models.encoder.store import LIMITS_FILE, TOKENIZER_FILE
from models.errors import ModelError

BUCKET_STEP = 16
DEFAULT_MAX_TOKENS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """One text: its token ids (int32), and whether its end was cut off to fit the encoder."""

    ids: NDArray[np.int32]
    cut: bool

    @property
    def bucket(self) -> int:
        """The padded length: the next multiple of 16. Only texts of one bucket may share a batch."""
        return -(-len(self.ids) // BUCKET_STEP) * BUCKET_STEP


class Tokenizer:
    """The tokenizer of an encoder's folder (tokenizer.json); raises ModelError when it is missing or not one."""

    def __init__(self, folder: Path) -> None:
        path = folder / TOKENIZER_FILE
        try:
            self._pieces = WordPieces.from_file(str(path))
        # The package raises bare Exception for a missing as for a malformed file.
        except Exception as failure:
            raise ModelError(
                f"The tokenizer {path} cannot be read: {failure}. "
                "Put the encoder's own tokenizer.json beside its model.onnx."
            ) from failure
        self.max_tokens = _max_tokens(folder, self._pieces.truncation)
        padding = self._pieces.padding or {}
        self._pad_id = int(padding.get("pad_id") or 0)
        self._pieces.no_padding()
        self._pieces.enable_truncation(self.max_tokens)

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """Split texts into tokens, in order; a text longer than max_tokens is cut and says so."""
        encodings = self._pieces.encode_batch_fast(list(texts))
        return [Tokens(self._ids(encoding.ids), bool(encoding.overflowing)) for encoding in encodings]

    def pad(self, batch: Sequence[Tokens], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Lay texts of one bucket out as int64 ids and mask, both (rows, bucket), repeating the first to fill the rows.

        Raises ValueError when the texts are of several buckets.
        """
        bucket = batch[0].bucket
        ids = np.full((rows, bucket), self._pad_id, np.int64)
        mask = np.zeros((rows, bucket), np.int64)
        for row in range(rows):
            tokens = batch[row] if row < len(batch) else batch[0]
            if tokens.bucket != bucket:
                raise ValueError(f"A batch holds texts of one bucket; got {tokens.bucket} beside {bucket}.")
            ids[row, : len(tokens.ids)] = tokens.ids
            mask[row, : len(tokens.ids)] = 1
        return ids, mask

    def _ids(self, ids: list[int]) -> NDArray[np.int32]:
        # Without special tokens an empty text would leave nothing to average over.
        return np.array(ids or [self._pad_id], np.int32)


def _max_tokens(folder: Path, truncation: dict[str, object] | None) -> int:
    limits = folder / LIMITS_FILE
    if limits.is_file():
        try:
            return int(json.loads(limits.read_text(encoding="utf-8"))["max_seq_length"])
        except (ValueError, KeyError, TypeError) as failure:
            raise ModelError(
                f"{limits} gives no max_seq_length. Correct it, or remove the file to use {DEFAULT_MAX_TOKENS} tokens."
            ) from failure
    if truncation is not None and isinstance(limit := truncation.get("max_length"), int):
        return limit
    return DEFAULT_MAX_TOKENS

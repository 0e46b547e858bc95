"""Texts to unit vectors: the same text gives the same bits in any company."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.arrays import BoolArray, FloatArray, unit
from models.digests import sha256_of
from models.encoder.store import (
    LIMITS_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    TOKENIZER_FILE,
    is_intact,
    read_manifest,
)
from models.encoder.tokens import Tokenizer, Tokens
from models.errors import ModelError
from models.sessions import LOAD_FAILURES, Runtime, open_session

DEFAULT_BATCH_SIZE = 8
POOLING_FILE = "1_Pooling/config.json"


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Unit vectors (n, d) float32 in the order of the texts, and which texts were cut (n,) bool."""

    vectors: FloatArray
    cut: BoolArray


class Encoder:
    """A sentence encoder: any folder with model.onnx and tokenizer.json.

    The model takes input_ids and attention_mask, token_type_ids if it wants them; it gives sentence vectors (b, d), or
    token vectors (b, s, d), which are pooled here: their mean, or the first where 1_Pooling/config.json says so.
    """

    def __init__(self, folder: Path, runtime: Runtime, batch_size: int) -> None:
        self.name = folder.name
        self.sha256 = identity(folder)
        self.batch_size = batch_size
        self._folder = folder
        self._tokenizer = Tokenizer(folder)
        self._session: ort.InferenceSession = open_session(folder / MODEL_FILE, runtime)
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        # GPU kernels are chosen by the number of rows: one shape per bucket keeps a text's bits the same. On the CPU
        # only a sum over a batch of one runs in another order, and only graphs that pool have such a sum.
        pools = len(self._session.get_outputs()[0].shape or ()) == 2
        self._fewest_rows = batch_size if runtime.provider == "cuda" else 2 if pools else 1
        self._first_token = _pools_first_token(folder)
        _check_inputs(folder, self._inputs)
        self.dim = self._probe()

    @classmethod
    def open(cls, folder: Path, runtime: Runtime, batch_size: int = DEFAULT_BATCH_SIZE) -> Encoder:
        """Open the encoder in `folder`; raises ModelError when it is missing, damaged, or no sentence encoder."""
        for name in (MODEL_FILE, TOKENIZER_FILE):
            if not (folder / name).is_file():
                raise ModelError(
                    f"{folder} is no encoder: it has no {name}. Point models.encoder_folder at a folder with "
                    f"{MODEL_FILE} and {TOKENIZER_FILE}, or leave it unset for the default."
                )
        return cls(folder, runtime, batch_size)

    @property
    def max_tokens(self) -> int:
        """How many tokens of a text are read, special ones included; the rest is cut."""
        return self._tokenizer.max_tokens

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts in batches of one padded length each; results come in the order of the texts.

        Returns vectors (n, d) of unit length and cut (n,). May be called from a worker thread: the interpreter lock is
        free while a batch runs.
        """
        tokens = self.tokenize(texts)
        vectors = np.zeros((len(tokens), self.dim), np.float32)
        buckets: dict[int, list[int]] = defaultdict(list)
        for index, one in enumerate(tokens):
            buckets[one.bucket].append(index)
        for indices in buckets.values():
            for start in range(0, len(indices), self.batch_size):
                chosen = indices[start : start + self.batch_size]
                vectors[chosen] = self.run([tokens[index] for index in chosen])
        return Encoded(vectors, np.array([one.cut for one in tokens], np.bool_))

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Split texts into tokens, in order; `Tokens.bucket` says which of them may share a batch."""
        return self._tokenizer(texts)

    def run(self, batch: Sequence[Tokens]) -> FloatArray:
        """Run one batch of texts of one bucket: unit vectors (n, d); raises ValueError when their buckets differ."""
        ids, mask = self._tokenizer.pad(batch, max(len(batch), self._fewest_rows))
        feeds: dict[str, NDArray[np.int64]] = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self._inputs:
            feeds["token_type_ids"] = np.zeros_like(ids)
        output: FloatArray = self._session.run(None, feeds)[0]
        return unit(self._pool(output[: len(batch)], batch))

    def _pool(self, output: FloatArray, batch: Sequence[Tokens]) -> FloatArray:
        if output.ndim != 3:
            return output
        if self._first_token:
            return output[:, 0]
        means = [
            rows[: len(tokens.ids)].mean(axis=0, dtype=np.float64) for rows, tokens in zip(output, batch, strict=True)
        ]
        return np.array(means, np.float32)

    def _probe(self) -> int:
        advice = "Point models.encoder_folder at a sentence encoder with one output (b, d) or (b, tokens, d)."
        try:
            vectors = self.run(self.tokenize(["a"]))
        except LOAD_FAILURES as failure:
            raise ModelError(f"The encoder in {self._folder} cannot encode a text: {failure}. {advice}") from failure
        if vectors.ndim != 2 or not np.isfinite(vectors).all() or not vectors.any():
            raise ModelError(f"The encoder in {self._folder} gives no sentence vectors. {advice}")
        return int(vectors.shape[1])


def identity(folder: Path) -> str:
    """Give the sha256 that vectors are known by: equal for encoders that give equal vectors.

    An encoder of ours is known by its weights and its recipe, so that another version of onnx, which may write other
    bytes, does not make stored vectors foreign; any other by its files. Raises ModelError when files were damaged.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        names = (f"{MODEL_FILE}*", TOKENIZER_FILE, LIMITS_FILE, POOLING_FILE)
        known = {path.name: sha256_of(path) for name in names for path in sorted(folder.glob(name))}
    elif is_intact(folder):
        tokenizer = manifest.files[TOKENIZER_FILE]
        known = {"recipe": manifest.recipe, "weights": manifest.weights_sha256, "tokenizer": tokenizer}
    else:
        raise ModelError(
            f"The encoder in {folder} is damaged: its files do not match {MANIFEST_FILE}. "
            "Run `scenestream models build`, or copy the folder there again."
        )
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _check_inputs(folder: Path, inputs: set[str]) -> None:
    required, allowed = {"input_ids", "attention_mask"}, {"token_type_ids"}
    if not required <= inputs <= required | allowed:
        raise ModelError(
            f"{folder / MODEL_FILE} takes {', '.join(sorted(inputs))}; a sentence encoder takes input_ids, "
            "attention_mask and perhaps token_type_ids. Export it as one."
        )


def _pools_first_token(folder: Path) -> bool:
    config = folder / POOLING_FILE
    if not config.is_file():
        return False
    try:
        return bool(json.loads(config.read_text(encoding="utf-8")).get("pooling_mode_cls_token", False))
    except (ValueError, AttributeError) as failure:
        raise ModelError(f"{config} is no JSON object. Copy it again from the encoder's release.") from failure

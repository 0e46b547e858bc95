"""The decomposition: an embedding as a short chain of readable codes, in one of four registers, in one ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.arrays import FloatArray, IntArray, unit
from models.errors import ModelError
from models.lexicon import LEXICON_FILE, MAX_CODES, Lexicon
from models.registers import AdapterBank, parameter_names
from models.sessions import LOAD_FAILURES, Runtime, open_session
from schemas.names import REGISTERS, Register

MODEL_FILE = "decomposition.onnx"
# One row takes another path through the matrix product than many do; blocks of one size always take the same.
BLOCK_ROWS = 8
MAX_ROWS = 64
# What is stored of a weight; chains are rebuilt from what is stored.
WEIGHT_DECIMALS = 4
# What opening or asking a model that is not ours may raise.
FOREIGN: tuple[type[Exception], ...] = (KeyError, ValueError, IndexError, *LOAD_FAILURES)
ADVICE = "Restore it from the project's release, or run `make models`."


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """Chains of n scenes: codes (n, 5) int32, rows of the lexicon, and weights (n, 5), both in falling order of weight.

    Places that are not used hold -1 and 0. `vectors` (n, d) are the chains in the space of sentences, of unit length;
    `fidelity` (n,) is their cosine with the embeddings, -1..1.
    """

    codes: IntArray
    weights: FloatArray
    vectors: FloatArray
    fidelity: FloatArray


class Decomposer:
    """Centred, non-negative orthogonal matching pursuit over the dictionary, with the registers' adapters in front.

    `dictionary` (N, d) holds the unit vectors of the codes about the mean word, `mean` (d,) the mean sentence of the
    training dialogues, `pull` how far from that mean a chain stands.
    """

    def __init__(self, path: Path, adapters: Path | None, runtime: Runtime) -> None:
        self._path = path
        self._session: ort.InferenceSession = open_session(path, runtime.small())
        told = self._session.get_modelmeta().custom_metadata_map
        try:
            self.lexicon_sha256 = str(told["lexicon_sha256"])
            self.adapter_version = int(told["adapter_version"])
            self.dictionary, self.mean, self.pull = self._constants()
        except FOREIGN as failure:
            raise ModelError(f"{path} is no decomposition of ours ({failure}). {ADVICE}") from failure
        self._bank = None if adapters is None else AdapterBank(adapters, self._adapter_shapes(), self.adapter_version)

    @classmethod
    def open(cls, artifacts: Path, runtime: Runtime) -> Decomposer:
        """Open decomposition.onnx and its four adapters; raises ModelError when one is missing, corrupt or foreign."""
        decomposer = cls(artifacts / MODEL_FILE, artifacts, runtime)
        if Lexicon.load(artifacts).sha256 != decomposer.lexicon_sha256:
            raise ModelError(
                f"{artifacts / MODEL_FILE} and {artifacts / LEXICON_FILE} do not belong together: "
                f"the codes differ. {ADVICE}"
            )
        return decomposer

    def reload_adapters(self) -> tuple[Register, ...]:
        """Take up adapter files that were replaced by rename; returns their registers.

        Raises ModelError, once for each bad file, while the adapter in use goes on serving.
        """
        return () if self._bank is None else self._bank.reload()

    def decompose(self, embeddings: FloatArray, registers: NDArray[np.int8], k: NDArray[Any]) -> Chains:
        """Split embeddings (n, d) into chains of at most k (n,) codes, each in its own register (n,), -1 for none.

        A chain has at least one code and at most five. The results of a row do not depend on the rows beside it.
        Raises ValueError when the shapes do not fit or a register is unknown.
        """
        self._check(embeddings, registers, k)
        codes = np.full((len(embeddings), MAX_CODES), -1, np.int32)
        weights = np.zeros((len(embeddings), MAX_CODES), np.float32)
        for start in range(0, len(embeddings), MAX_ROWS):
            rows = slice(start, start + MAX_ROWS)
            codes[rows], weights[rows] = self._run(embeddings[rows], registers[rows], k[rows])
        order = np.argsort(-weights, axis=1, kind="stable")
        codes, weights = np.take_along_axis(codes, order, axis=1), np.take_along_axis(weights, order, axis=1)
        vectors = self.compose(codes, weights)
        return Chains(codes, weights, vectors, _cosines(vectors, embeddings))

    def compose(self, codes: IntArray, weights: FloatArray, pull: float | None = None) -> FloatArray:
        """Give the unit vectors (n, d) of chains among sentences: codes and weights (n, m), -1 where unused.

        n(mean + pull * n(sum of weights * dictionary)): only the proportions of the weights count, so a chain that a
        person typed stands as far from the mean as one that was decomposed.
        """
        total = np.zeros((len(codes), self.dictionary.shape[1]), np.float64)
        # One code after another and element by element: a row's sum has one order, whatever the batch.
        for place in range(codes.shape[1]):
            weight = np.where(codes[:, place] >= 0, weights[:, place], 0).astype(np.float64)
            total += weight[:, None] * self.dictionary[np.maximum(codes[:, place], 0)]
        direction = unit(total.astype(np.float32))
        return unit(self.mean + np.float32(self.pull if pull is None else pull) * direction)

    def _run(self, embeddings: FloatArray, registers: NDArray[np.int8], k: NDArray[Any]) -> tuple[IntArray, FloatArray]:
        count = len(embeddings)
        padding = -count % BLOCK_ROWS
        feeds = {
            "embedding": np.pad(embeddings.astype(np.float32), ((0, padding), (0, 0))),
            "register": np.pad(registers.astype(np.int64), (0, padding), constant_values=-1),
            "k": np.pad(np.clip(k, 1, MAX_CODES).astype(np.int64), (0, padding), constant_values=1),
        }
        if self._bank is None:
            codes, weights = self._session.run(["codes", "weights"], feeds)
        else:
            options, adapters = self._bank.activate()
            codes, weights = self._session.run(["codes", "weights"], feeds, options)
            del adapters
        return codes[:count].astype(np.int32), np.round(weights[:count], WEIGHT_DECIMALS)

    def _constants(self) -> tuple[FloatArray, FloatArray, float]:
        width = self._session.get_inputs()[0].shape[1]
        feeds = {
            "embedding": np.zeros((BLOCK_ROWS, width), np.float32),
            "register": np.full(BLOCK_ROWS, -1, np.int64),
            "k": np.ones(BLOCK_ROWS, np.int64),
        }
        dictionary, mean, pull = self._session.run(["dictionary", "mean", "pull"], feeds)
        return dictionary, mean, float(pull)

    def _adapter_shapes(self) -> dict[Register, dict[str, tuple[int, ...]]]:
        inputs = {entry.name: tuple(entry.shape) for entry in self._session.get_overridable_initializers()}
        try:
            return {register: {name: inputs[name] for name in parameter_names(register)} for register in REGISTERS}
        except KeyError as failure:
            raise ModelError(f"{self._path} takes no adapter tensor {failure}. {ADVICE}") from failure

    def _check(self, embeddings: FloatArray, registers: NDArray[np.int8], k: NDArray[Any]) -> None:
        shapes = (embeddings.shape, registers.shape, k.shape)
        count = len(embeddings)
        if shapes != ((count, len(self.mean)), (count,), (count,)):
            raise ValueError(f"Embeddings (n, {len(self.mean)}), registers (n,) and k (n,) are wanted; got {shapes}.")
        if count and not np.isin(registers, range(-1, len(REGISTERS))).all():
            raise ValueError(f"A register is -1 or an index into {', '.join(REGISTERS)}; got {registers.tolist()}.")


def _cosines(vectors: FloatArray, embeddings: FloatArray) -> FloatArray:
    cosines: FloatArray = np.sum(
        vectors.astype(np.float64) * unit(embeddings.astype(np.float32)).astype(np.float64), axis=1
    ).astype(np.float32)
    return cosines

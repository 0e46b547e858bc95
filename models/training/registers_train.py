"""The registers' adapters in closed form: a ridge from sentences to a register's nearest words, cut to rank 8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.arrays import FloatArray, unit
from models.decomposition import MODEL_FILE, Chains, Decomposer
from models.lexicon import Lexicon
from models.registers import ADAPTER_SUFFIX, parameter_names
from models.sessions import Runtime
from models.training.decomposition_graph import RANK
from models.training.decomposition_train import TEST_DIALOGUES, TRAIN_DIALOGUES, encode_turns, open_vectors, plain
from schemas.names import REGISTERS, Register

RIDGE = 30.0
WORD_BIAS = 0.06
# Where a register has no word this near, the code stays: else `order` would become `ship`, and in every other sentence.
NEAR_ENOUGH = 0.33
# The ridge shrinks the way to the register; at this many times its length half of the codes are words of the register.
STRENGTH = 2.5


def run(data: Path, out: Path, cache: Path, seed: int) -> dict[str, float]:
    """Write the four adapters into `out`, where the decomposition is; returns shares, cosines and overlaps."""
    lexicon = Lexicon.load(out)
    bare = Decomposer(out / MODEL_FILE, None, Runtime())
    vectors = open_vectors(cache)
    sentences = encode_turns(data, "train", TRAIN_DIALOGUES, seed, vectors)
    chains = plain(bare, sentences, 3)
    for row, register in enumerate(REGISTERS):
        members = lexicon.members(row)
        down, up = fit_adapter(bare, sentences, chains, members)
        path = out / f"decomposition.{register}{ADAPTER_SUFFIX}"
        write_adapter(path, register, (down, up, WORD_BIAS * members), bare.adapter_version)
    return measure(Decomposer.open(out, Runtime()), lexicon, encode_turns(data, "test", TEST_DIALOGUES, seed, vectors))


def fit_adapter(
    decomposer: Decomposer, sentences: FloatArray, chains: Chains, members: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Fit the adapter of one register on sentences (n, d) and their chains: down (d, 8) and up (8, d).

    T is the sentence's chain, each code replaced by the register's nearest word where one is near enough; a ridge from
    y to T - y, cut by SVD.
    """
    dictionary = decomposer.dictionary.astype(np.float64)
    closeness = np.where(members > 0, dictionary @ dictionary.T, -1.0)
    near = closeness.max(axis=1) >= NEAR_ENOUGH
    nearest = np.where(near, closeness.argmax(axis=1), np.arange(len(dictionary)))
    replaced = dictionary[nearest[np.maximum(chains.codes, 0)]]
    targets = np.sum(np.where(chains.codes >= 0, chains.weights, 0)[:, :, None] * replaced, axis=1)
    about = unit(sentences - decomposer.mean).astype(np.float64)
    moved = unit(targets.astype(np.float32)).astype(np.float64) - about
    solved = np.linalg.solve(about.T @ about + RIDGE * np.eye(about.shape[1]), about.T @ moved)
    left, scale, right = np.linalg.svd(solved)
    root = np.sqrt(STRENGTH * scale[:RANK])
    return (left[:, :RANK] * root).astype(np.float32), (right[:RANK] * root[:, None]).astype(np.float32)


def write_adapter(
    path: Path, register: Register, tensors: tuple[FloatArray, FloatArray, FloatArray], version: int
) -> None:
    """Write one adapter's file and put it in place by rename, for a file in use must not change."""
    form = ort.AdapterFormat()
    form.set_adapter_version(1)
    form.set_model_version(version)
    values = {
        name: ort.OrtValue.ortvalue_from_numpy(tensor)
        for name, tensor in zip(parameter_names(register), tensors, strict=True)
    }
    form.set_parameters(values)
    scratch = path.with_name(f".{path.name}.new")
    form.export_adapter(str(scratch))
    scratch.replace(path)


def measure(decomposer: Decomposer, lexicon: Lexicon, sentences: FloatArray) -> dict[str, float]:
    """Give, at k = 3, the share of codes in each register without and with it, its fidelity, and the overlaps."""
    count = len(sentences)
    bare = plain(decomposer, sentences, 3)
    figures: dict[str, float] = {}
    chosen: dict[Register, Chains] = {}
    for row, register in enumerate(REGISTERS):
        chains = decomposer.decompose(sentences, np.full(count, row, np.int8), np.full(count, 3))
        chosen[register] = chains
        figures |= {
            f"share_{register}_before": _share(bare, lexicon.members(row)),
            f"share_{register}": _share(chains, lexicon.members(row)),
            f"cosine_{register}": float(chains.fidelity.mean()),
            f"overlap_{register}_none": _overlap(bare.codes, chains.codes),
        }
    for place, one in enumerate(REGISTERS):
        for other in REGISTERS[place + 1 :]:
            figures[f"overlap_{one}_{other}"] = _overlap(chosen[one].codes, chosen[other].codes)
    return figures


def _share(chains: Chains, members: FloatArray) -> float:
    return float(members[chains.codes[chains.codes >= 0]].mean())


def _overlap(left: NDArray[np.int32], right: NDArray[np.int32]) -> float:
    """Give the mean share of codes that two chains of one sentence have in common, of all that either has."""
    shared = ((left[:, :, None] == right[:, None, :]) & (left[:, :, None] >= 0)).sum(axis=(1, 2))
    either = (left >= 0).sum(axis=1) + (right >= 0).sum(axis=1) - shared
    return float((shared / either).mean())

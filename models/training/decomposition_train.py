"""The decomposition's dictionary and graph from the lexicon, and what its chains hold of held-out dialogues."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.arrays import FloatArray, IntArray, unit
from models.decomposition import MODEL_FILE, Chains, Decomposer
from models.encoder import Encoder, ensure_built
from models.lexicon import Lexicon
from models.sessions import Runtime
from models.training.data import Split, sample_dialogues
from models.training.decomposition_graph import build_graph
from models.training.vectors import TextVectors

TRAIN_DIALOGUES: Mapping[str, int] = {"sgd": 120, "taskmaster4": 250, "selfdialogue": 120, "topicalchat": 110}
TEST_DIALOGUES: Mapping[str, int] = {"sgd": 40, "taskmaster4": 80, "selfdialogue": 40, "topicalchat": 35}
# Added to a code's cosine, times its log-frequency relative to the most frequent: junk codes are rare words.
FREQUENCY_PRIOR = 0.02
# How far from the mean sentence a chain may stand; the best on train dialogues is taken.
PULLS = tuple(round(0.40 + 0.05 * step, 2) for step in range(9))


def run(data: Path, out: Path, cache: Path, seed: int) -> dict[str, float]:
    """Write decomposition.onnx into `out`, where lexicon.tsv is; returns cosines on held-out dialogues."""
    lexicon = Lexicon.load(out)
    vectors = open_vectors(cache)
    vectors.prepare(lexicon.codes)
    words = vectors.rows(lexicon.codes)
    dictionary = unit(unit(words - words.mean(axis=0)).astype(np.float16).astype(np.float32))
    sentences = encode_turns(data, "train", TRAIN_DIALOGUES, seed, vectors)
    mean = sentences.mean(axis=0)
    path = out / MODEL_FILE
    write_graph(path, dictionary, mean, lexicon, PULLS[0])
    write_graph(path, dictionary, mean, lexicon, best_pull(Decomposer(path, None, Runtime()), sentences))
    return measure(Decomposer(path, None, Runtime()), encode_turns(data, "test", TEST_DIALOGUES, seed, vectors), seed)


def open_vectors(cache: Path) -> TextVectors:
    """Open the default encoder's vectors in the cache."""
    return TextVectors(Encoder.open(ensure_built(cache, Runtime()), Runtime()), cache)


def encode_turns(
    data: Path, split: Split, per_corpus: Mapping[str, int], seed: int, vectors: TextVectors
) -> FloatArray:
    """Encode the distinct turns of a sample of dialogues: unit vectors (n, d)."""
    dialogues = sample_dialogues(data, split, per_corpus, seed)
    texts = sorted({turn.text for dialogue in dialogues for turn in dialogue.turns})
    vectors.prepare(texts)
    return vectors.rows(texts)


def write_graph(path: Path, dictionary: FloatArray, mean: FloatArray, lexicon: Lexicon, pull: float) -> None:
    """Write the graph of a dictionary (n, d) about a mean sentence (d,)."""
    digest = hashlib.sha256(dictionary.astype(np.float16).tobytes() + lexicon.sha256.encode()).digest()
    metadata = {
        "lexicon_sha256": lexicon.sha256,
        # An adapter's file holds a 32-bit number to say what it belongs to.
        "adapter_version": str(int.from_bytes(digest[:4], "big") >> 1),
    }
    prior = FREQUENCY_PRIOR * lexicon.log_frequency / lexicon.log_frequency.max()
    model = build_graph(dictionary, mean, prior, pull, metadata)
    path.write_bytes(model.SerializeToString(deterministic=True))


def best_pull(decomposer: Decomposer, sentences: FloatArray) -> float:
    """Give the distance from the mean at which chains of three codes come nearest to the sentences (n, d)."""
    chains = plain(decomposer, sentences, 3)

    def fidelity(pull: float) -> float:
        vectors = decomposer.compose(chains.codes, chains.weights, pull)
        return float(np.sum(vectors * sentences, axis=1).mean())

    return max(PULLS, key=fidelity)


def plain(decomposer: Decomposer, sentences: FloatArray, k: int) -> Chains:
    """Decompose sentences without a register."""
    return decomposer.decompose(sentences, np.full(len(sentences), -1, np.int8), np.full(len(sentences), k))


def measure(decomposer: Decomposer, sentences: FloatArray, seed: int) -> dict[str, float]:
    """Give mean fidelity at k = 3 and 5: of chains, and of as many random codes with weights fitted to the sentence."""
    figures: dict[str, float] = {}
    rng = np.random.default_rng(seed)
    for k in (3, 5):
        chains = plain(decomposer, sentences, k)
        strange = rng.integers(0, len(decomposer.dictionary), (len(sentences), k)).astype(np.int32)
        random = decomposer.compose(strange, fit_weights(decomposer, strange, sentences))
        figures |= {
            f"cosine_k{k}": float(chains.fidelity.mean()),
            f"cosine_centred_k{k}": float(centred_cosines(decomposer, chains.codes, chains.weights, sentences).mean()),
            f"cosine_random_k{k}": float(np.sum(random * sentences, axis=1).mean()),
            f"codes_k{k}": float((chains.codes >= 0).sum(axis=1).mean()),
        }
    return figures


def fit_weights(decomposer: Decomposer, codes: IntArray, sentences: FloatArray) -> FloatArray:
    """Fit weights (n, m) of given codes to sentences (n, d) by least squares; those below zero become zero."""
    words = decomposer.dictionary[codes]
    products = np.einsum("nid,njd->nij", words, words) + 1e-3 * np.eye(codes.shape[1])
    wanted = np.einsum("nid,nd->ni", words, unit(sentences - decomposer.mean))
    weights: FloatArray = np.clip(np.linalg.solve(products, wanted[:, :, None])[:, :, 0], 0, None).astype(np.float32)
    return weights


def centred_cosines(decomposer: Decomposer, codes: IntArray, weights: FloatArray, sentences: FloatArray) -> FloatArray:
    """Give the cosines (n,) of chains and sentences with the mean sentence taken away from both."""
    words = decomposer.dictionary[np.maximum(codes, 0)]
    directions = unit(np.sum(np.where(codes >= 0, weights, 0)[:, :, None] * words, axis=1))
    cosines: FloatArray = np.sum(directions * unit(sentences - decomposer.mean), axis=1)
    return cosines

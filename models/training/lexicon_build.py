"""The lexicon from curated codes and word lists: frequencies, symbols, and how far a word belongs to a register."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.arrays import FloatArray, unit
from models.encoder import Encoder, ensure_built
from models.lexicon import ANALOGUES_FILE, LEXICON_FILE, Lexicon, read_analogues, write_lexicon
from models.sessions import Runtime
from models.training.vectors import TextVectors
from models.training.words import (
    Prose,
    count_dialogue_words,
    count_prose,
    read_curated,
    read_seeds,
    read_symbols,
    read_table,
)
from schemas.names import REGISTERS

CODES_FILE = Path(__file__).with_name("codes.tsv")
SEEDS_FILE = Path(__file__).with_name("bodily_seeds.txt")
AUTHORED = Path(__file__).resolve().parents[1] / "artifacts" / ANALOGUES_FILE
# A register made by ranking holds this share of the lexicon.
MEMBER_SHARE = 0.22
RIDGE = 1.0
# So many uses in prose or verse weigh as much as what the word's vector predicts.
SHRINKAGE = 10.0
MIN_POETS = 4
# Stands in codes.tsv where a symbol has the word in its name but another meaning.
NO_SYMBOL = "-"
FOLDS = 5

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


def run(data: Path, out: Path, cache: Path, seed: int) -> dict[str, float]:
    """Write lexicon.tsv into `out`, and a copy of analogues.tsv, which is authored; returns figures about both."""
    if out.resolve() != AUTHORED.parent:
        shutil.copyfile(AUTHORED, out / ANALOGUES_FILE)
    curated = read_curated(CODES_FILE)
    codes = tuple(one.code for one in curated)
    analogues = read_analogues(out / ANALOGUES_FILE, frozenset(codes))
    vectors = TextVectors(Encoder.open(ensure_built(cache, Runtime()), Runtime()), cache)
    vectors.prepare(codes)
    words = vectors.rows(codes)
    centred = unit(words - words.mean(axis=0)).astype(np.float64)
    named = read_symbols(data, frozenset(one.code for one in curated if one.symbol != NO_SYMBOL))
    verse = poetic_odds(codes, centred, count_prose(data))
    seeds = np.isin(codes, list(read_seeds(SEEDS_FILE)))
    bodily = bodily_scores(seeds, centred)
    columns = {
        "dry": by_rank(-verse),
        "poetic": by_rank(verse),
        "bodily": by_rank(bodily),
        "symbolic": np.array([named.get(code, ("", 0.0))[1] for code in codes]),
    }
    counts = count_dialogue_words(data)
    total = sum(counts.values())
    lexicon = Lexicon(
        codes,
        tuple(one.ru for one in curated),
        tuple(one.symbol.strip(NO_SYMBOL) or named.get(one.code, ("", 0.0))[0] for one in curated),
        np.array([math.log10(1 + 1e6 * counts[code] / total) for code in codes], np.float32),
        np.stack([columns[register] for register in REGISTERS], axis=1).astype(np.float32),
        analogues,
    )
    write_lexicon(out / LEXICON_FILE, lexicon)
    return {
        "codes": len(codes),
        "russian_labels": sum(bool(label) for label in lexicon.labels_ru),
        "symbols": sum(bool(symbol) for symbol in lexicon.symbols),
        "analogues": len(analogues),
        **{f"members_{register}": float(lexicon.members(row).sum()) for row, register in enumerate(REGISTERS)},
        **_bodily_figures(data, codes, seeds, centred, bodily, verse, seed),
    }


def by_rank(scores: Floats) -> FloatArray:
    """Turn scores (n,) into weights 0..1: .5 where the top MEMBER_SHARE begins, 0 from twice that share on."""
    places = np.empty(len(scores))
    places[np.argsort(-scores, kind="stable")] = np.arange(len(scores)) / len(scores)
    weights: FloatArray = np.clip(1 - places / (2 * MEMBER_SHARE), 0, 1).astype(np.float32)
    return weights


def poetic_odds(codes: tuple[str, ...], vectors: Floats, prose: Prose) -> Floats:
    """Give the log-odds (n,) of verse against dry prose, shrunk towards what the words' vectors predict.

    Verse counts only for words that at least four poets used.
    """
    verse = np.array([prose.verse[code] if prose.poets.get(code, 0) >= MIN_POETS else 0 for code in codes], float)
    dry = np.array([prose.dry[code] for code in codes], float)
    uses = verse + dry
    share = sum(prose.verse.values()) / sum(prose.dry.values())
    odds = np.log((verse + 0.5) / share + 0.5) - np.log(dry + 1)
    trust = uses / (uses + SHRINKAGE)
    predicted = ridge_predict(vectors, odds, trust)
    shrunk: Floats = trust * odds + (1 - trust) * predicted
    return shrunk


def bodily_scores(seeds: Mask, vectors: Floats) -> Floats:
    """Give how bodily each word is (n,): a ridge over word vectors that tells the seeds from the rest."""
    target = seeds.astype(float)
    # The seeds are few: together they weigh as much as all the others.
    weights = np.where(seeds, (~seeds).sum() / max(1, seeds.sum()), 1.0)
    return ridge_predict(vectors, target, weights / weights.max())


def ridge_predict(vectors: Floats, target: Floats, weights: Floats) -> Floats:
    """Fit a weighted ridge of target (n,) on vectors (n, d) and give its predictions (n,) for the same rows."""
    fitted: Floats = vectors @ _ridge(vectors, target, weights) + np.average(target, weights=weights)
    return fitted


def _ridge(vectors: Floats, target: Floats, weights: Floats) -> Floats:
    middle = float(np.average(target, weights=weights))
    weighted = vectors * weights[:, None]
    products = vectors.T @ weighted + RIDGE * np.eye(vectors.shape[1])
    return np.linalg.solve(products, weighted.T @ (target - middle)).astype(np.float64)


def _bodily_figures(
    data: Path, codes: tuple[str, ...], seeds: Mask, vectors: Floats, bodily: Floats, verse: Floats, seed: int
) -> dict[str, float]:
    """Say how well the bodily weights hold on words that they were not made from.

    The AUC is on seeds left out in turn; the correlations are Spearman's: with lexicographer files of body words
    (noun.body, verb.body, verb.contact, noun.feeling), with human norms, and with the poetic odds.
    """
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(codes))
    held = np.zeros(len(codes))
    for part in range(FOLDS):
        learnt = fold != part
        weights = np.where(seeds, (~seeds).sum() / max(1, seeds.sum()), 1.0)[learnt]
        held[~learnt] = vectors[~learnt] @ _ridge(vectors[learnt], seeds[learnt].astype(float), weights / weights.max())
    ranks = _ranks(held)
    auc = (ranks[seeds].sum() - seeds.sum() * (seeds.sum() - 1) / 2) / (seeds.sum() * (~seeds).sum())
    files = {row["word"]: row["sense_lexfiles_in_order"].split() for row in read_table(data / "oewn_lexfiles.tsv.gz")}
    body = {"noun.body", "verb.body", "verb.contact", "noun.feeling"}
    share = np.array([sum(f in body for f in files[c]) / len(files[c]) if files.get(c) else np.nan for c in codes])
    norms = {row["word"]: row for row in read_table(data / "glasgow_norms.tsv.gz") if not row["sense"]}
    return {
        "bodily_held_out_seed_auc": float(auc),
        "bodily_rho_lexicographer": _spearman(bodily, share),
        "bodily_rho_concreteness": _spearman(bodily, _norm(norms, codes, "concreteness")),
        "bodily_rho_arousal": _spearman(bodily, _norm(norms, codes, "arousal")),
        "bodily_rho_poetic": _spearman(bodily, verse),
    }


def _norm(norms: dict[str, dict[str, str]], codes: tuple[str, ...], name: str) -> Floats:
    return np.array([float(norms[code][name]) if code in norms else np.nan for code in codes])


def _spearman(left: Floats, right: Floats) -> float:
    known = np.isfinite(left) & np.isfinite(right)
    return float(np.corrcoef(_ranks(left[known]), _ranks(right[known]))[0, 1])


def _ranks(values: Floats) -> Floats:
    """Give ranks from 0, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    shared: Floats = (ends - (counts + 1) / 2)[inverse]
    return shared

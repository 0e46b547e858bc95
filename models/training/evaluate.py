"""The figures on dialogues that nothing was trained on: heads, blend, and each route beside its controls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from models.arrays import BoolArray, FloatArray, unit
from models.decomposition import Decomposer
from models.features import dot, view_of
from models.gain import Gain
from models.heads import Heads
from models.healing import blend_targets
from models.lexicon import Lexicon
from models.memory import MemoryBase
from models.situation import Situation
from models.spoiling import KINDS
from models.towers import Towers
from models.training.controls import Figures, route_figures
from models.training.data import read_rows
from models.training.heads_train import INTENT_COSINE, decomposed, drafts_of, with_random_chains
from models.training.outcomes import Bench, bridge_outcomes, hits_of, refused_outcomes, regeneration_outcomes
from models.training.recollection import train_memory
from models.training.scenes import Example
from models.training.workshop import Workshop, cosines_to_truth, mix_weights, truths_of

GAIN_MIN = 0.30
FIDELITY_MIN = 0.35
_BINS = 15
_ROWS_AT_ONCE = 512


def run(data: Path, out: Path, cache: Path, seed: int) -> Figures:
    """Measure what is in `out` on the test dialogues; gives every figure under a name."""
    shop = Workshop(data, out, cache, seed)
    decomposer, towers = Decomposer.open(out, shop.runtime), Towers.open(out, shop.runtime)
    heads = Heads.open(out, shop.runtime, decomposer, towers)
    bench = Bench(decomposer, Lexicon.load(out), heads, Gain.open(out, shop.runtime), towers, seed)
    examples = shop.examples("test")
    spoilt = [example for example in examples if not example.real]
    memory = train_memory(shop, cache / "memory")
    refused = refused_outcomes(bench, spoilt)
    figures = head_figures(bench, examples) | chain_head_figures(bench, examples) | conture_figures(bench, shop)
    figures |= blend_figures(bench, spoilt, memory)
    for name, base in (("bridge", None), ("bridge_memory", memory)):
        outcomes = bridge_outcomes(bench, spoilt, base)
        figures |= route_figures(name, bench, spoilt, outcomes, outcomes.gain >= GAIN_MIN, pool=outcomes)
    kept = regeneration_outcomes(bench, spoilt)
    return figures | route_figures("regeneration", bench, spoilt, kept, kept.fidelity >= FIDELITY_MIN, pool=refused)


def head_figures(bench: Bench, examples: list[Example]) -> Figures:
    """Measure the heads for drafts: AUC over the mix and per kind, calibration error, and what crude scores reach."""
    p_form, p_intent = bench.judge(examples)
    real = np.array([example.real for example in examples])
    origins = np.array([example.origin for example in examples])
    weights = mix_weights(examples)
    right = cosines_to_truth(examples) >= INTENT_COSINE
    words = np.array([len((example.situation.draft_text or "").split()) for example in examples], np.float32)
    near = np.array([_nearness(example.situation) for example in examples], np.float32)
    wordless = bench.heads.scenes([_without_words(example.situation) for example in examples])[0]
    figures = {
        "p_form_auc": _auc(real, p_form, weights),
        "p_form_ece": calibration_error(real, p_form, weights),
        "p_form_auc_length": _auc(real, words, weights),
        "p_form_auc_cosine": _auc(real, near, weights),
        "p_form_auc_without_text": _auc(real, wordless, weights),
        "p_intent_auc": _auc(right, p_intent, weights),
        "p_intent_ece": calibration_error(right, p_intent, weights),
        "p_intent_auc_spoilt": _auc(right[~real], p_intent[~real], weights[~real]),
    }
    for kind in KINDS:
        some = real | (origins == kind)
        figures[f"p_form_auc_{kind}"] = _auc(real[some], p_form[some], weights[some])
    return figures


def chain_head_figures(bench: Bench, examples: list[Example]) -> Figures:
    """Measure the heads for scenes that come as chains; random chains are a kind of their own."""
    chains = decomposed(drafts_of(examples), bench.decomposer, bench.seed)
    real = np.array([example.real for example in examples])
    extra = np.flatnonzero(real)
    chains = with_random_chains(chains, extra, bench.decomposer, bench.seed)
    everyone = [*examples, *(examples[row] for row in extra)]
    p_form, p_intent = bench.heads.chains([example.situation for example in everyone], chains)
    form = np.concatenate([real, np.zeros(len(extra), bool)])
    weights = np.concatenate([mix_weights(examples), np.ones(len(extra), np.float32)])
    right = dot(chains.vectors, truths_of(everyone)) >= INTENT_COSINE
    random = np.arange(len(everyone)) >= len(examples)
    return {
        "chain_p_form_auc": _auc(form, p_form, weights),
        "chain_p_form_ece": calibration_error(form, p_form, weights),
        "chain_p_form_auc_random": _auc(form[form | random], p_form[form | random], weights[form | random]),
        "chain_p_intent_auc": _auc(right, p_intent, weights),
    }


def conture_figures(bench: Bench, shop: Workshop) -> Figures:
    """Correlate p_form with people's ratings of single turns, which nothing was trained on."""
    rows = list(read_rows(shop.data, "conture_turn"))
    shop.vectors.prepare(text for row in rows for text in (*row["context"], row["response"]))
    situations = []
    for row in rows:
        context = tuple(row["context"])
        roles = tuple("assistant" if (len(context) - index) % 2 == 0 else "user" for index in range(len(context)))
        turns = shop.vectors.rows(context) if context else np.zeros((0, shop.encoder.dim), np.float32)
        situations.append(Situation(row["response"], shop.vectors[row["response"]], context, roles, turns))
    ratings = np.array([row["ratings"]["overall"] for row in rows], np.float32)
    near = np.array([_nearness(situation) for situation in situations], np.float32)
    p_form, p_intent = bench.heads.scenes(situations)
    return {
        "conture_rho": _spearman(p_form, ratings),
        "conture_rho_intent": _spearman(p_intent, ratings),
        "conture_rho_cosine": _spearman(near, ratings),
        "conture_turns": float(len(rows)),
    }


def blend_figures(bench: Bench, spoilt: list[Example], memory: MemoryBase) -> Figures:
    """Give mean cosines with the truth, over all spoilt scenes: of their own chains and of those put in their place."""
    truths, drafts = truths_of(spoilt), drafts_of(spoilt)
    _, p_intent = bench.judge(spoilt)
    cosines: dict[str, list[FloatArray]] = {}
    for start in range(0, len(spoilt), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        for name, target in _targets(bench, spoilt[part], drafts[part], p_intent[part], memory).items():
            cosines.setdefault(name, []).append(dot(bench.plain(target).vectors, truths[part]))
    joined = {name: np.concatenate(parts) for name, parts in cosines.items()}
    origins = np.array([example.origin for example in spoilt])
    figures = {f"cosine_{name}": float(values.mean()) for name, values in joined.items()}
    for kind in KINDS:
        figures |= {
            f"cosine_{name}_{kind}": float(joined[name][origins == kind].mean()) for name in ("draft", "blend_ridge")
        }
    return figures


def _targets(
    bench: Bench, spoilt: list[Example], drafts: FloatArray, p_intent: FloatArray, memory: MemoryBase
) -> dict[str, FloatArray]:
    view = view_of([example.situation for example in spoilt], bench.towers, drafts.shape[1])
    none = np.zeros(len(spoilt), np.float32)
    hits = hits_of(bench, spoilt, memory)
    # Another scene's memory: what was recalled for the scene half a batch away.
    half = len(spoilt) // 2
    foreign = replace(
        hits,
        similarities=np.roll(hits.similarities, half, axis=0),
        next_turns=np.roll(hits.next_turns, half, axis=0),
    )
    last = np.stack([example.situation.context[-1] for example in spoilt])
    p = p_intent[:, None]
    recalled = blend_targets(view, drafts, none, p_intent, foreign).memory
    return {
        "draft": drafts,
        "blend_ridge": blend_targets(view, drafts, none, p_intent, None).blend,
        "blend_memory": blend_targets(view, drafts, none, p_intent, hits).blend,
        "other_memory": unit(p * drafts + np.float32(0.4) * (1 - p) * recalled),
        "echo": last,
    }


def calibration_error(labels: BoolArray, chances: FloatArray, weights: FloatArray) -> float:
    """Give the expected calibration error over fifteen bins of equal width."""
    bins = np.minimum((chances * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights * (chances - labels), _BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def _auc(labels: BoolArray, scores: FloatArray, weights: FloatArray) -> float:
    return float(roc_auc_score(labels, scores, sample_weight=weights))


def _spearman(a: FloatArray, b: FloatArray) -> float:
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles = (np.cumsum(counts) - (counts - 1) / 2).astype(np.float32)
    ranks: FloatArray = middles[inverse]
    return ranks


def _nearness(situation: Situation) -> float:
    return (
        float(situation.context[-1] @ situation.draft)
        if len(situation.context) and situation.draft is not None
        else 0.0
    )


def _without_words(situation: Situation) -> Situation:
    return Situation(
        None, situation.draft, situation.context_texts, situation.context_roles, situation.context, situation.chain
    )

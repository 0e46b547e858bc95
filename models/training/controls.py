"""What every route must beat: nothing done, a lower threshold, random swaps, the echo, and the crudest choices."""

from __future__ import annotations

import numpy as np

from models.arrays import BoolArray, FloatArray
from models.decomposition import Chains
from models.features import dot
from models.gain import HEALED_COSINE
from models.healing import random_codes
from models.situation import context_vector
from models.training.outcomes import Bench, Outcomes, take_chains
from models.training.scenes import Example
from models.training.workshop import truths_of

Figures = dict[str, float]
TASKS = ("sgd", "taskmaster4")


def route_figures(
    name: str, bench: Bench, examples: list[Example], outcomes: Outcomes, emitted: BoolArray, pool: Outcomes
) -> Figures:
    """Measure a route: precision and coverage of what it emits, and the same number of emissions by each control.

    `outcomes` are the scenes that went the route, `emitted` (n,) which of them it lets out. `pool` holds the scenes
    that a lower threshold, length or cosine may choose from.
    """
    count = int(emitted.sum())
    sent = [examples[row] for row in outcomes.rows]
    chosen = [example for example, out in zip(sent, emitted, strict=True) if out]
    truths = truths_of(chosen)
    own, healed = take_chains(outcomes.own, emitted), take_chains(outcomes.chains, emitted)
    task = np.array([example.position.dialogue.corpus in TASKS for example in chosen])
    good = outcomes.healed[emitted] >= HEALED_COSINE
    figures = {
        "scenes": float(len(emitted)),
        "emitted": float(count),
        "coverage": count / max(1, len(emitted)),
        "precision": float(good.mean()),
        "precision_task": float(good[task].mean()),
        "precision_open": float(good[~task].mean()),
        "all_healed": _share(outcomes.healed),
        "all_unhealed": _share(outcomes.unhealed),
        "unhealed": _share(outcomes.unhealed[emitted]),
        "random_swaps": _share(dot(_swapped(own, healed, bench), truths)),
        "echo": _share(dot(_echoes(chosen, bench), truths)),
        "auc_gain": _auc(outcomes.gain, outcomes.healed >= HEALED_COSINE),
        "healed_by_cosine": _best(dot(outcomes.chains.vectors, _contexts(sent)), outcomes.healed, count),
    }
    waiting = [examples[row] for row in pool.rows]
    figures |= {
        "lower_theta": _best(pool.p_form, pool.unhealed, count),
        "length": _best(np.array([len(_words(one)) for one in waiting], np.float32), pool.unhealed, count),
        "cosine": _best(dot(pool.own.vectors, _contexts(waiting)), pool.unhealed, count),
    }
    return {f"{name}_{key}": value for key, value in figures.items()}


def _words(example: Example) -> list[str]:
    return (example.situation.draft_text or "").split()


def _share(cosines: FloatArray) -> float:
    return float((cosines >= HEALED_COSINE).mean()) if len(cosines) else 0.0


def _best(scores: FloatArray, cosines: FloatArray, count: int) -> float:
    """Give the precision of the `count` scenes of the highest score."""
    return _share(cosines[np.argsort(-scores, kind="stable")[:count]])


def _auc(scores: FloatArray, good: BoolArray) -> float:
    ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
    right, wrong = int(good.sum()), int((~good).sum())
    return float((ranks[good].sum() - right * (right - 1) / 2) / max(1, right * wrong))


def _contexts(examples: list[Example]) -> FloatArray:
    return np.stack([context_vector(example.situation) for example in examples])


def _echoes(examples: list[Example], bench: Bench) -> FloatArray:
    return bench.plain(np.stack([example.situation.context[-1] for example in examples])).vectors


def _swapped(own: Chains, healed: Chains, bench: Bench) -> FloatArray:
    """Swap as many codes of the scenes' own chains as healing did, for random ones: vectors (n, d)."""
    survived = np.array([len(set(a[a >= 0]) & set(b[b >= 0])) for a, b in zip(own.codes, healed.codes, strict=True)])
    changed = (own.codes >= 0).sum(axis=1) - survived
    strange = random_codes(own.codes, len(bench.decomposer.dictionary), bench.seed)
    # The lightest codes go first: the control that does the least harm.
    place = np.arange(own.codes.shape[1])[None, :]
    last = (own.codes >= 0).sum(axis=1)[:, None]
    codes = np.where(place >= last - changed[:, None], strange, own.codes)
    return bench.decomposer.compose(np.where(own.codes >= 0, codes, -1).astype(np.int32), own.weights)

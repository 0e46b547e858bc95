"""Controls: whether a healed scene is nearer to what should have been said than what costs nothing would have been.

A replay that spoils drafts knows the truth: the draft before it was spoilt. A chain counts as right when its vector is
within cosine .30 of the truth's. Each route of healing is held against the same scenes unhealed, the same number of
failed scenes let through by a lower threshold, by length or by cosine with the context, random codes in the place of
the new ones, and the echo, the chain of the user's own last words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from models.arrays import FloatArray
from models.gain import HEALED_COSINE
from models.situation import weigh_context
from models.suite import Suite
from schemas.decision import Decision
from schemas.names import Origin, Verdict
from schemas.scene import Chain, Code, Scene
from streams.scoring.chains import to_arrays

MAX_TRIALS = 4000
RIVALS = ("unhealed", "lower_threshold", "random_codes", "length", "cosine")
MIN_HEALED = 10


@dataclass(frozen=True, slots=True)
class Trial:
    """A spoilt scene that failed when it was fresh, with the truth and what became of it."""

    truth: str
    draft: str
    context: tuple[str, ...]
    last_user: str
    p_form: float
    before: Chain
    after: Chain
    route: Origin
    ready: bool


def trial_of(scene: Scene, truth: str, decisions: Sequence[Decision]) -> Trial | None:
    """Return the trial that a decided, spoilt scene is; None where it passed as it was or had no chance to fail."""
    first, last = decisions[0], decisions[-1]
    if first.verdict in {Verdict.READY, Verdict.WITHHELD} or scene.draft is None:
        return None
    said = [utterance for utterance in scene.context if utterance.role != "system"]
    return Trial(
        truth=truth,
        draft=scene.draft,
        context=tuple(utterance.text for utterance in said),
        last_user=next((utterance.text for utterance in reversed(said) if utterance.role == "user"), ""),
        p_form=first.resonance,
        before=first.chain,
        after=last.chain,
        route=last.origin,
        ready=last.verdict is Verdict.READY,
    )


def hold_against_controls(trials: Sequence[Trial], suite: Suite, seed: int) -> dict[str, dict[str, float]]:
    """Return for each route the share of right scenes, healed and by each control, with the number they rest on."""
    if not trials:
        return {}
    scored = _Scored(trials, suite, seed)
    found: dict[str, dict[str, float]] = {}
    for route in (Origin.REGENERATION, Origin.BRIDGE):
        healed = np.array([trial.route is route and trial.ready for trial in trials])
        if healed.sum() >= MIN_HEALED:
            found[route.value] = scored.compare(healed)
    return found


class _Scored:
    """Cosines with the truth of every trial, by what might have gone out in its place."""

    def __init__(self, trials: Sequence[Trial], suite: Suite, seed: int) -> None:
        self._suite = suite
        texts = {text for trial in trials for text in (trial.truth, trial.draft, trial.last_user, *trial.context)}
        ordered = sorted(texts)
        vectors = dict(zip(ordered, suite.encoder.encode(ordered).vectors, strict=True))
        truth = np.stack([vectors[trial.truth] for trial in trials])
        echo = np.stack([vectors[trial.last_user] for trial in trials])
        neutral = np.full(len(trials), -1, np.int8)
        echoed = suite.decomposer.decompose(echo, neutral, np.array([max(1, len(trial.after)) for trial in trials]))
        rng = Random(seed)  # noqa: S311 - a seeded baseline, not a secret
        self._after = _cosines(self._compose([trial.after for trial in trials]), truth)
        self._before = _cosines(self._compose([trial.before for trial in trials]), truth)
        self._random = _cosines(self._compose([_swapped(trial, suite, rng) for trial in trials]), truth)
        self._echo = _cosines(echoed.vectors, truth)
        self._p_form = np.array([trial.p_form for trial in trials])
        self._length = np.array([len(trial.draft.split()) for trial in trials], np.float64)
        contexts = [np.stack([vectors[text] for text in trial.context]) if trial.context else None for trial in trials]
        drafts = [vectors[trial.draft] for trial in trials]
        self._near = np.array(
            [0.0 if c is None else float(weigh_context(c) @ d) for c, d in zip(contexts, drafts, strict=True)]
        )

    def compare(self, healed: np.ndarray) -> dict[str, float]:
        """Return the share of right scenes among those `healed`, and by each control of the same number."""
        count = int(healed.sum())
        return {
            "scenes": float(count),
            "healed": _share(self._after[healed]),
            "unhealed": _share(self._before[healed]),
            "lower_threshold": _share(self._before[_top(self._p_form, count)]),
            "random_codes": _share(self._random[healed]),
            "echo": _share(self._echo[healed]),
            "length": _share(self._before[_top(self._length, count)]),
            "cosine": _share(self._before[_top(self._near, count)]),
        }

    def _compose(self, chains: Sequence[Chain]) -> FloatArray:
        codes, weights = to_arrays(chains, self._suite.lexicon)
        return self._suite.decomposer.compose(codes, weights)


def beaten(figures: Mapping[str, float]) -> list[str]:
    """Return what a route does not beat: controls, and the same scenes left as they were; the echo is only shown."""
    return [name for name in RIVALS if figures["healed"] <= figures[name]]


def _swapped(trial: Trial, suite: Suite, rng: Random) -> Chain:
    """Return the new chain with random codes in the place of those that are new."""
    old = {code.code for code in trial.before}
    names = suite.lexicon.codes
    return tuple(
        code if code.code in old else Code(code=names[rng.randrange(len(names))], weight=code.weight)
        for code in trial.after
    )


def _cosines(vectors: FloatArray, truth: FloatArray) -> np.ndarray:
    products = vectors.astype(np.float64) * truth
    return np.asarray(products.sum(axis=1))


def _share(cosines: np.ndarray) -> float:
    return round(float(np.mean(cosines >= HEALED_COSINE)), 4)


def _top(scores: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(-scores, kind="stable")[:count]

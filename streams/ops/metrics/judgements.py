"""What a worker decided, counted: verdicts by rule, healings by route, resonance, gain, room in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric

from schemas.decision import Decision
from streams.ops.metrics.instruments import Labels, Spread, Tally, counter
from streams.stages.filter import RULES
from streams.stages.policy import Mode

_SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_GAINS = (0.0, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8)
_ERRORS = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)
_ACCOUNTS = ("drafts", "healed")
_VERDICTS = {rule.name: rule.verdict.value for rule in RULES} | {f"ledger.{name}": "withheld" for name in _ACCOUNTS}
_ORIGINS = {"fresh": "fresh", "regenerated": "regeneration", "bridged": "bridge"}
# What may become of a healed scene, by the way it was healed.
_OUTCOMES = {"regeneration": ("ready", "withheld", "analogue"), "bridge": ("ready", "withheld", "reasoning")}


class Judgements:
    """Counts decisions and feedback."""

    def __init__(self, mode: Mode) -> None:
        self._strict = mode == "strict"
        # A rule has one verdict, which is found when it is shown.
        self._judged: Counter[tuple[str, str]] = Counter(dict.fromkeys(_known_rules(), 0))
        self._healed: Counter[tuple[str, str, str]] = Counter()
        self._resonance = Spread(
            "scenestream_resonance",
            "Probability that a scene is accepted as it is, by its origin; of a healed scene 1 - risk.",
            _SCORES,
            ("origin",),
        )
        self._gain = Spread(
            "scenestream_gain",
            "Predicted cosine of a bridged chain with the true next turn; below 0 counts as 0.",
            _GAINS,
        )
        self._headroom = Spread(
            "scenestream_ledger_headroom_errors",
            "Errors that a user's account may still hold, after each verdict; 0 is a promise without room.",
            _ERRORS,
            ("account",),
        )
        self._resonances = {origin: self._resonance.at((origin,)) for origin in _ORIGINS.values()}
        self._headrooms = {account: self._headroom.at((account,)) for account in _ACCOUNTS}
        self._gains = self._gain.at()
        self._feedback = Tally(
            "scenestream_feedback",
            "Feedback, by what it came to.",
            ("outcome",),
            ((outcome,) for outcome in ("learnt", "told", "repeated", "inapplicable", "unknown")),
        )

    def decided(self, decision: Decision) -> None:
        """Count a verdict."""
        healing, rule, account = decision.healing, decision.rule, decision.ledger
        origin = "fresh" if healing is None else healing.route
        self._judged[origin, rule] += 1
        self._resonances[origin].observe(decision.resonance)
        owed = account.pending if self._strict else account.expected
        self._headrooms[account.account].observe(account.bound - account.errors - owed)
        if healing is not None:
            self._healed[healing.route, healing.strength or "", rule] += 1
            if healing.gain is not None:
                self._gains.observe(healing.gain)

    def tuned(self, outcome: str) -> None:
        """Count what feedback came to."""
        self._feedback.add((outcome,))

    def families(self) -> Iterable[Metric]:
        """Yield what was counted."""
        decisions: dict[Labels, float] = {
            (origin, _VERDICTS[rule], rule): count for (origin, rule), count in self._judged.items()
        }
        yield counter(
            "scenestream_decisions",
            "Verdicts on scenes, fresh and healed; ready, withheld and reasoning are final.",
            ("origin", "verdict", "rule"),
            decisions,
        )
        yield counter(
            "scenestream_healings",
            "Healed scenes that were judged, by what became of them.",
            ("route", "strength", "outcome"),
            self._outcomes(),
        )
        for counted in (self._resonance, self._gain, self._headroom, self._feedback):
            yield counted.family()

    def _outcomes(self) -> Mapping[Labels, float]:
        counts: dict[Labels, float] = dict.fromkeys(_known_outcomes(), 0.0)
        for (route, strength, rule), count in self._healed.items():
            labels = (route, strength, _VERDICTS[rule])
            counts[labels] = counts.get(labels, 0.0) + count
        return counts


def _known_rules() -> Iterable[tuple[str, str]]:
    for rule in RULES:
        yield _ORIGINS[rule.name.split(".")[0]], rule.name
    yield "fresh", "ledger.drafts"
    for route in _OUTCOMES:
        yield route, "ledger.healed"


def _known_outcomes() -> Iterable[Labels]:
    for route, outcomes in _OUTCOMES.items():
        for strength in ("",) if route == "regeneration" else ("amplified", "partial", "full"):
            for outcome in outcomes:
                yield route, strength, outcome

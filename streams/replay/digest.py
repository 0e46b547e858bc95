"""The digest: one number for all that was decided, the same through either runtime and whatever the batches."""

from __future__ import annotations

import hashlib
import json

from schemas.decision import Decision

_DECIMALS = 4


class Digest:
    """sha256 over the canonical JSON of decisions, per key in order; keys sorted, so that keys may interleave."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def add(self, decision: Decision) -> None:
        """Take in the next decision of its key."""
        previous = self._keys.get(decision.key, "")
        line = json.dumps([previous, *canonical(decision)], separators=(",", ":"), ensure_ascii=True)
        self._keys[decision.key] = hashlib.sha256(line.encode()).hexdigest()

    def hexdigest(self) -> str:
        """Return the digest of all decisions so far."""
        lines = json.dumps(sorted(self._keys.items()), separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(lines.encode()).hexdigest()


def canonical(decision: Decision) -> list[object]:
    """Return all that counts of a decision: what is equal here was decided alike."""
    parts = decision.parts
    scores = (
        decision.resonance, decision.threshold, decision.risk, parts.intent, parts.fidelity, parts.field,
        parts.activation, parts.depth, parts.tension, parts.density, parts.gain,
    )  # fmt: skip
    # "z", for a score that is nothing but for its last bit has no sign to tell.
    return [
        decision.scene_id,
        decision.attempt,
        decision.verdict.value,
        decision.rule,
        decision.register,
        [code.code for code in decision.chain],
        [None if score is None else f"{score:z.{_DECIMALS}f}" for score in scores],
    ]

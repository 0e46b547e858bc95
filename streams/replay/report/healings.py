"""Which healings a reader should see in full: first one of every kind, then those that promise most.

The rule is deterministic. Of each kind (verdict, route, strength) the best are kept: the highest gain, or fidelity
where a route has no gain, the scene id at a tie; and not two of one kind with the same chains before and after. The
list takes the best of each kind in the order of `KINDS`, where it brings a route, a strength or a verdict not yet
shown; then the highest gains among the ready; then whatever is left.
"""

from __future__ import annotations

import json
import re
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.decision import Decision
from schemas.names import Verdict

SHOWN = 10
Kind = tuple[Verdict, str, str | None]

KINDS: tuple[Kind, ...] = (
    (Verdict.READY, "regeneration", None),
    (Verdict.READY, "bridge", "amplified"),
    (Verdict.READY, "bridge", "partial"),
    (Verdict.READY, "bridge", "full"),
    (Verdict.REASONING, "bridge", "full"),
    (Verdict.WITHHELD, "bridge", "full"),
    (Verdict.WITHHELD, "regeneration", None),
    (Verdict.WITHHELD, "bridge", "partial"),
    (Verdict.REASONING, "bridge", "partial"),
    (Verdict.WITHHELD, "bridge", "amplified"),
    (Verdict.REASONING, "bridge", "amplified"),
)

_MOST_TURNS = 6
_MOST_CHARACTERS = 900
_FIRST_FIELD = re.compile(rb'\s*\{\s*"scene_id"\s*:\s*("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Texts:
    """The words of a scene as far as a page has room for them."""

    context: tuple[tuple[str, str], ...]
    omitted: int
    draft: str | None


def _score(decision: Decision) -> tuple[float, float, str]:
    healing = decision.healing
    if healing is None:
        return (1.0, 1.0, decision.scene_id)
    return (-healing.gain if healing.gain is not None else 1.0, -healing.fidelity, decision.scene_id)


def _chains(decision: Decision) -> tuple[tuple[str, ...], tuple[str, ...]]:
    before = () if decision.healing is None else tuple(code.code for code in decision.healing.before)
    return before, tuple(code.code for code in decision.chain)


@dataclass(slots=True)
class Candidates:
    """The best healings of each kind so far, at most `SHOWN` of a kind."""

    kinds: dict[Kind, list[Decision]] = field(default_factory=dict)

    def add(self, decision: Decision) -> None:
        """Weigh the final decision of a healed scene."""
        healing = decision.healing
        if healing is None:
            return
        kept = self.kinds.setdefault((decision.verdict, healing.route, healing.strength), [])
        if len(kept) == SHOWN and _score(decision) >= _score(kept[-1]):
            return
        twin = next((other for other in kept if _chains(other) == _chains(decision)), None)
        if twin is not None:
            if _score(twin) <= _score(decision):
                return
            kept.remove(twin)
        insort(kept, decision, key=_score)
        del kept[SHOWN:]

    def chosen(self) -> list[Decision]:
        """Return the healings to show, at most `SHOWN`, in the order of the rule."""
        first: list[Decision] = []
        rest: list[Decision] = []
        shown: set[object] = set()
        for kind in [*KINDS, *sorted(self.kinds.keys() - set(KINDS), key=str)]:
            kept = self.kinds.get(kind, [])
            verdict, route, strength = kind
            brings = {verdict, (route, strength)}
            is_new = bool(kept) and not brings <= shown
            first += kept[:is_new]
            rest += kept[is_new:]
            shown |= brings if is_new else set()
        rest.sort(key=lambda decision: (decision.verdict is not Verdict.READY, *_score(decision)))
        return (first + rest)[:SHOWN]


def _cut(text: object) -> str:
    words = text if isinstance(text, str) else ""
    return words if len(words) <= _MOST_CHARACTERS else f"{words[:_MOST_CHARACTERS].rstrip()} …"


def _texts_of(line: dict[str, object]) -> Texts:
    context = line.get("context")
    turns = [turn for turn in context if isinstance(turn, dict)] if isinstance(context, list) else []
    draft = line.get("draft")
    return Texts(
        context=tuple((str(turn.get("role", "")), _cut(turn.get("text"))) for turn in turns[-_MOST_TURNS:]),
        omitted=max(0, len(turns) - _MOST_TURNS),
        draft=_cut(draft) if isinstance(draft, str) else None,
    )


def find_texts(lines: Iterable[bytes], scene_ids: Iterable[str]) -> dict[str, Texts]:
    """Return the texts of `scene_ids` from the lines of a texts.jsonl, read once; what is not there is left out.

    Only the lines that are wanted are parsed whole, for the texts of a long run are most of its bytes.
    """
    wanted = set(scene_ids)
    found: dict[str, Texts] = {}
    for line in lines:
        if len(found) == len(wanted):
            break
        try:
            first = _FIRST_FIELD.match(line)
            if first is not None and json.loads(first[1]) not in wanted:
                continue
            parsed = json.loads(line)
        except ValueError:
            continue
        if isinstance(parsed, dict) and parsed.get("scene_id") in wanted:
            found[parsed["scene_id"]] = _texts_of(parsed)
    return found

"""Two runs side by side: what a change of settings, models or log changed in the verdicts."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.base import Frozen
from schemas.names import Verdict
from streams.replay.digest import canonical
from streams.replay.run_reader import read_decisions, read_summary

_TEXT_CHARACTERS = 80
_FACTS = ("settings", "models", "priors", "logs", "spoil", "seed", "target")


class RunFacts(Frozen):
    """A run in brief, from its summary."""

    name: str
    scenes: int
    digest: str
    ready: int
    withheld: int
    reasoning: int
    healed: int
    dead: int
    interrupted: bool


class Change(Frozen):
    """Scenes that had final verdict `before` in the baseline and `after` in the run; `examples` are scene ids."""

    before: Verdict
    after: Verdict
    scenes: int
    examples: tuple[str, ...]


class RuleDelta(Frozen):
    """How often a rule gave a verdict, in the baseline and in the run."""

    rule: str
    before: int
    after: int


class SettingDelta(Frozen):
    """A setting, a model or another fact of the summary that differs, as short texts."""

    name: str
    before: str
    after: str


class Comparison(Frozen):
    """A run held against a baseline, scene by scene.

    `compared` scenes are in both; `changed_share` of them ended with another verdict; `moved` kept their verdict, and
    differ in rule, register, codes or a score at 4 decimals. `table` counts all pairs of verdicts, `changes` only those
    that differ, the most frequent first. `same_digest` says that both decided the same in every respect.
    """

    run: RunFacts
    baseline: RunFacts
    same_digest: bool
    compared: int
    only_run: int
    only_baseline: int
    changed: int
    changed_share: float | None
    moved: int
    changes: tuple[Change, ...]
    table: tuple[Change, ...]
    rules: tuple[RuleDelta, ...]
    settings: tuple[SettingDelta, ...]


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a scene of a run ended; `digest` is of all its attempts."""

    verdict: Verdict
    digest: bytes


@dataclass(frozen=True, slots=True)
class _Run:
    facts: RunFacts
    summary: Mapping[str, object]
    endings: Mapping[str, _Ending]
    rules: Counter[str]


def compare(run: Path, baseline: Path, *, examples: int = 5, name: Callable[[str], str] = str) -> Comparison:
    """Return `run` held against `baseline`; raises RunDirError where one is no finished run.

    `name` makes of a scene's id what examples show. Memory grows with the scenes: about 300 bytes each.
    """
    new, old = _read(run), _read(baseline)
    table: Counter[tuple[Verdict, Verdict]] = Counter()
    named: dict[tuple[Verdict, Verdict], list[str]] = {}
    moved = 0
    for scene_id, ending in new.endings.items():
        before = old.endings.get(scene_id)
        if before is None:
            continue
        pair = (before.verdict, ending.verdict)
        table[pair] += 1
        if len(named.setdefault(pair, [])) < examples:
            named[pair].append(scene_id)
        moved += before.verdict is ending.verdict and before.digest != ending.digest
    ordered = sorted(table.items(), key=lambda one: (-one[1], one[0]))
    changes = [
        Change(before=pair[0], after=pair[1], scenes=count, examples=tuple(name(one) for one in named[pair]))
        for pair, count in ordered
    ]
    differing = tuple(change for change in changes if change.before is not change.after)
    compared, changed = table.total(), sum(change.scenes for change in differing)
    return Comparison(
        run=new.facts,
        baseline=old.facts,
        same_digest=new.facts.digest == old.facts.digest,
        compared=compared,
        only_run=len(new.endings) - compared,
        only_baseline=len(old.endings) - compared,
        changed=changed,
        changed_share=changed / compared if compared else None,
        moved=moved,
        changes=differing,
        table=tuple(change.model_copy(update={"examples": ()}) for change in changes),
        rules=tuple(
            RuleDelta(rule=rule, before=old.rules[rule], after=new.rules[rule])
            for rule in sorted(new.rules.keys() | old.rules.keys())
        ),
        settings=tuple(_deltas(old.summary, new.summary)),
    )


def facts_of(folder: Path, summary: Mapping[str, object]) -> RunFacts:
    """Return a run in brief."""
    final = summary.get("final")
    ended = final if isinstance(final, dict) else {}
    return RunFacts(
        name=folder.resolve().name,
        scenes=_count(summary.get("scenes")),
        digest=str(summary.get("digest", "")),
        ready=_count(ended.get("ready")),
        withheld=_count(ended.get("withheld")),
        reasoning=_count(ended.get("reasoning")),
        healed=_count(summary.get("healed")),
        dead=_count(summary.get("dead")),
        interrupted=summary.get("interrupted") is True,
    )


def _read(folder: Path) -> _Run:
    summary = read_summary(folder)
    endings: dict[str, _Ending] = {}
    attempts: dict[str, bytes] = {}
    rules: Counter[str] = Counter()
    for decision in read_decisions(folder):
        rules[decision.rule] += 1
        line = json.dumps(canonical(decision), separators=(",", ":")).encode()
        digest = hashlib.blake2b(attempts.pop(decision.scene_id, b"") + line, digest_size=16).digest()
        if decision.final:
            endings[decision.scene_id] = _Ending(decision.verdict, digest)
        else:
            attempts[decision.scene_id] = digest
    return _Run(facts_of(folder, summary), summary, endings, rules)


def _deltas(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[SettingDelta]:
    before = dict(_flat({name: old.get(name) for name in _FACTS}))
    after = dict(_flat({name: new.get(name) for name in _FACTS}))
    for name in sorted(before.keys() | after.keys()):
        was, now = _short(before.get(name)), _short(after.get(name))
        if was != now:
            yield SettingDelta(name=name, before=was, after=now)


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _flat(one, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _short(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _TEXT_CHARACTERS else text[: _TEXT_CHARACTERS - 1] + "…"


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0

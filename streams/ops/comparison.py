"""Two runs side by side: what a change of settings, models or log changed in the verdicts."""

from __future__ import annotations

from schemas.base import Frozen
from schemas.names import Verdict


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

"""What the report says in words: the headline, the gate, why scenes were withheld, whether the bound held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.names import Verdict
from streams.replay.report.chart import OUTCOME_NAMES
from streams.replay.report.data import OUTCOMES, Outcome, RunData
from streams.replay.report.files import Summary
from streams.replay.report.ledgers import Tightest

MODES = {
    "expected": "A scene that nobody has labelled yet counts at its calibrated risk of being an error. A scene goes "
    "out only while its user's errors, known and expected, stay within the bound.",
    "strict": "A scene that nobody has labelled yet counts as an error until its label comes or is overdue. A scene "
    "goes out only while its user's errors, known and possible, stay within the bound.",
    "off": "The thresholds decide alone. The ledger is kept for the record; nothing is promised about errors.",
    "observe": "Everything is decided and nothing is held back: rules and reasons say what a gate would have done.",
}
# What the rules of the adaptive filter and the ledger mean; one that is not here is shown by its name and its reason.
RULES = {
    "ledger.drafts": "The draft was good enough, but the promise on drafts left no room for its risk",
    "ledger.healed": "The healing was good enough, but the promise on healed scenes left no room for its risk",
    "fresh.no_route": "The draft's resonance was under the threshold, and no way of healing was open",
    "regenerated.no_route": "In another register the scene lost its meaning, and no other way was open",
    "bridged.gains_little": "Even the best chain across the bridge is not expected to hold",
    "bridged.nothing_alive": "Nothing in context or memory answers to the scene, so it goes back to reasoning",
}
RULE_VERDICTS = (Verdict.WITHHELD, Verdict.REASONING)


@dataclass(frozen=True, slots=True)
class Headline:
    """The run in one line of figures."""

    scenes: int
    ready: int
    healed: int
    dead: int
    outcomes: tuple[tuple[Outcome, str, int], ...]
    how_healed: str


@dataclass(frozen=True, slots=True)
class RuleRow:
    """How often a rule ended a scene, with a reason it gave."""

    rule: str
    count: int
    share_of_verdict: str
    meaning: str
    example: str


def headline(summary: Summary, data: RunData) -> Headline:
    """Return the figures of the page's head; counted from the decisions, dead letters as the summary has them."""
    healed = data.outcomes["regenerated"] + data.outcomes["bridged"]
    return Headline(
        scenes=data.scenes,
        ready=data.outcomes["ready"] + healed,
        healed=healed,
        dead=summary.count("dead") or 0,
        outcomes=tuple((outcome, OUTCOME_NAMES[outcome], data.outcomes[outcome]) for outcome in OUTCOMES),
        how_healed=how_healed(data),
    )


def how_healed(data: RunData) -> str:
    """Return by which routes scenes were healed, as a phrase; empty where none was."""
    phrases = []
    if data.outcomes["regenerated"]:
        phrases.append(f"{data.outcomes['regenerated']:,} in another register")
    if data.outcomes["bridged"]:
        strengths = [
            f"{data.strengths[name]:,} {name}"
            for name in ("amplified", "partial", "full", "unnamed")
            if data.strengths[name]
        ]
        if data.authored:
            strengths.append(f"{data.authored:,} of them by an authored pair")
        phrases.append(f"{data.outcomes['bridged']:,} across the bridge ({', '.join(strengths)})")
    return " and ".join(phrases)


def notices(summary: Summary, data: RunData) -> list[str]:
    """Return what a reader should know before trusting the figures."""
    said = []
    if summary.interrupted:
        said.append(
            f"The run was interrupted. The report covers the {_counted(data.scenes, 'scene')} decided until then."
        )
    if not summary.found:
        said.append(
            "summary.json is missing or broken, so the run did not end as it should; the figures are counted from "
            "its decisions."
        )
    if data.flags["cut"]:
        cut = _counted(data.flags["cut"], "decision")
        said.append(f"{cut} saw only the beginning of a text that is longer than the encoder reads.")
    if data.unreadable:
        said.append(
            f"Left out: {_counted(data.unreadable, 'line')} of decisions.jsonl that cannot be read as a decision."
        )
    promised = summary.count("scenes")
    if promised is not None and promised != data.scenes:
        said.append(
            f"summary.json counts {promised:,} scenes; decisions.jsonl ends {data.scenes:,}. Trust the decisions."
        )
    return said


def mode(summary: Summary) -> tuple[str | None, str]:
    """Return the gate's mode and what it means."""
    value = summary.setting("mode")
    name = value if isinstance(value, str) else None
    return name, MODES.get(name or "", "The summary does not say in which mode the gate was.")


def rules(data: RunData) -> list[tuple[Verdict, list[RuleRow]]]:
    """Return the rules that kept scenes from going on, by verdict, the most frequent first; no group is empty."""
    groups = []
    for verdict in RULE_VERDICTS:
        named = [(count, rule) for (of, rule), count in data.rules.items() if of is verdict]
        total = sum(count for count, _ in named)
        rows = [
            RuleRow(
                rule=rule,
                count=count,
                share_of_verdict=_percent(count, total),
                meaning=RULES.get(rule, rule),
                example=data.rule_examples[verdict, rule],
            )
            for count, rule in sorted(named, key=lambda item: (-item[0], item[1]))
        ]
        if rows:
            groups.append((verdict, rows))
    return groups


def ledger_words(tightest: Tightest, mode: str | None) -> str:
    """Return whether an account's bound was kept, and why not where it was not."""
    if not tightest.seen:
        return "No scene was held against this account."
    if not tightest.over:
        return f"Within its bound at every one of {_counted(tightest.seen, 'decision')}."
    most = max(point.share for point in tightest.ranked)
    said = (
        f"Over its bound at {tightest.over:,} of {_counted(tightest.seen, 'decision')}, {most:.0%} of it at the most."
    )
    if mode == "expected":
        said += " Labels worse than expected do that; then nothing goes out until it eases."
    return f"{said} In this mode nothing is held back." if mode in {"off", "observe"} else said


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def _percent(part: float, whole: float) -> str:
    if not whole:
        return "–"
    return f"{100 * part / whole:.0f}%" if part in {0, whole} else f"{100 * part / whole:.1f}%"


FILTERS: dict[str, Callable[..., str]] = {
    "count": lambda value: f"{value:,}",
    "number": _number,
    "milliseconds": _milliseconds,
    "duration": _duration,
    "percent": _percent,
    "counted": _counted,
}

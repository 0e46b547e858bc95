"""The report's tables of figures: healings by route and strength, and routes held against their controls."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.names import Verdict
from streams.replay.controls import RIVALS
from streams.replay.report.data import HealingStats, RunData
from streams.replay.report.files import Summary
from streams.replay.report.sketches import Histogram


@dataclass(frozen=True, slots=True)
class HealingRow:
    """The healings of one route and strength, in figures; medians, None where there is nothing to take one of."""

    name: str
    tried: int
    ready: int
    resonance_before: float | None
    resonance_after: float | None
    intent_before: float | None
    fidelity_before: float | None
    fidelity_after: float | None
    gain_ready: float | None
    gain_other: float | None


@dataclass(frozen=True, slots=True)
class Controls:
    """What plainer means reach on the same scenes: columns, and rows of figures, marked where they beat the route."""

    columns: list[str]
    rows: list[tuple[str, list[tuple[str, bool]]]]


def healing_rows(data: RunData) -> list[HealingRow]:
    """Return the healings by route and strength, regeneration first."""
    order = {None: 0, "amplified": 1, "partial": 2, "full": 3}
    ranked = sorted(data.healings.items(), key=lambda item: (item[0][0] != "regeneration", order.get(item[0][1], 4)))
    return [_healing_row(route, strength, stats) for (route, strength), stats in ranked]


def _healing_row(route: str, strength: str | None, stats: HealingStats) -> HealingRow:
    def median(histogram: Histogram) -> float | None:
        return histogram.quantile(0.5)

    return HealingRow(
        name=route.capitalize() if strength is None else f"{route.capitalize()}, {strength}",
        tried=stats.verdicts.total(),
        ready=stats.verdicts[Verdict.READY],
        resonance_before=median(stats.resonance_before),
        resonance_after=median(stats.resonance_after),
        intent_before=median(stats.intent_before),
        fidelity_before=median(stats.fidelity_before),
        fidelity_after=median(stats.fidelity_after),
        gain_ready=median(stats.gain_ready),
        gain_other=median(stats.gain_other),
    )


def controls(summary: Summary) -> Controls:
    """Return the controls as a table, with the figures marked that are no worse than the healing they stand beside.

    The echo is a cheat and `unhealed` no way to go on, so neither is marked.
    """
    table = summary.controls
    columns = list(dict.fromkeys(name for row in table.values() for name in row))
    rows = []
    for name, row in table.items():
        healed = row.get("healed")
        cells = []
        for column in columns:
            value = row.get(column)
            beats = healed is not None and value is not None and column in RIVALS and value >= healed
            text = "–" if value is None else f"{value:,.{0 if column == 'scenes' else 2}f}"
            cells.append((text, beats))
        rows.append((name.replace("_", " "), cells))
    return Controls([column.replace("_", " ") for column in columns], rows)

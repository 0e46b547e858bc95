"""A chart as a plain plotly figure: a dict of data and layout, without plotly's graph objects, which import slowly.

Colours are names of CSS variables (`var(--ready)`), resolved in the page, so that the charts follow light and dark.
Nothing that came out of a log reaches a figure without `plain`, for plotly reads a small HTML in its texts.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.names import Verdict
from streams.replay.report.data import Outcome

Json = Mapping[str, object]

OUTCOME_NAMES: dict[Outcome, str] = {
    "ready": "Ready as drafted",
    "regenerated": "Ready, regenerated",
    "bridged": "Ready, bridged",
    "withheld": "Withheld",
    "reasoning": "Back to reasoning",
}
FIRST_VERDICT_NAMES: dict[Verdict, str] = {
    Verdict.READY: "ready",
    Verdict.REGENERATE: "sent to regeneration",
    Verdict.ANALOGUE: "sent to the bridge",
    Verdict.WITHHELD: "withheld",
    Verdict.REASONING: "back to reasoning",
}
FIRST_VERDICT_COLOURS = {
    Verdict.READY: "ready",
    Verdict.REGENERATE: "regenerated",
    Verdict.ANALOGUE: "bridged",
    Verdict.WITHHELD: "withheld",
    Verdict.REASONING: "reasoning",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a chart's legend; `kind` is how its sample looks: bar, line or dash."""

    colour: str
    label: str
    kind: str = "bar"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, what it says in words, and the same numbers as a table."""

    name: str
    label: str
    height: int
    figure: Json
    keys: tuple[Key, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def plain(text: str) -> str:
    """Return `text` so that plotly shows it letter by letter, at most 60 characters of it."""
    return html.escape(text if len(text) <= 60 else f"{text[:59]}…", quote=False)


def colour(name: str) -> str:
    """Return the CSS variable of a colour."""
    return f"var(--{name})"


def axis(title: str = "", **more: object) -> Json:
    """Return an axis, with a title unless that is empty."""
    return {"title": {"text": title, "standoff": 8, "font": {"size": 12}}, **more} if title else more


def count_axis(title: str, most: int) -> Json:
    """Return an axis of counts up to `most`, in whole steps."""
    whole = {"dtick": 1} if most <= 5 else {}
    return axis(title, tickformat=",d", range=[0, max(1.0, 1.05 * most)], **whole)


def turn_axis(turns: int) -> Json:
    """Return an axis of turns in the order of their admission."""
    return axis(
        "Turns, in the order they were admitted",
        range=[0, max(1, turns)],
        tickformat=",d",
        hoverformat=",.0f",
        unifiedhovertitle={"text": "around turn %{x}"},
    )


def layout(x: Json, y: Json, **more: object) -> Json:
    """Return a layout of stacked bars without gaps."""
    return {"xaxis": x, "yaxis": y, "bargap": 0, "barmode": "stack", "hovermode": "x unified", **more}


def line(at: float, label: str, name: str = "ink-2") -> Json:
    """Return a labelled vertical line at `at` of the x axis."""
    return {
        "type": "line",
        "x0": at,
        "x1": at,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": colour(name), "width": 1.5, "dash": "4px,3px"},
        "label": {"text": label, "textposition": "end", "textangle": 0, "font": {"color": colour(name), "size": 11}},
    }


def bars(x: Sequence[float], y: Sequence[float], name: str, tint: str, **more: object) -> Json:
    """Return a trace of bars in the colour `tint`."""
    return {"type": "bar", "x": list(x), "y": list(y), "name": name, "marker": {"color": colour(tint)}, **more}


def share(part: float, whole: float) -> float:
    """Return `part` of `whole`, 0 to 1 at four decimals; 0 of nothing."""
    return round(part / whole, 4) if whole else 0.0


def without_tails(counts: Sequence[int]) -> list[int | None]:
    """Return `counts` with None for the empty bins at both ends, but for the one next to what is there."""
    filled = [index for index, count in enumerate(counts) if count]
    if not filled:
        return [None] * len(counts)
    return [count if filled[0] - 1 <= index <= filled[-1] + 1 else None for index, count in enumerate(counts)]


def histogram_rows(
    centres: Sequence[float], width: float, columns: Sequence[Sequence[int]]
) -> tuple[tuple[str, ...], ...]:
    """Return a histogram's bins as rows of a table, without those that are empty in every column."""
    rows = []
    for centre, *counts in zip(centres, *columns, strict=True):
        if any(counts):
            rows.append((f"{centre - width / 2:.2f} to {centre + width / 2:.2f}", *(f"{count:,}" for count in counts)))
    return tuple(rows)

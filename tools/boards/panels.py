"""Panels of a Grafana board: what is asked, in which unit, and what a person should see in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Json = Mapping[str, object]
# From which value on which colour; the first is from everything below.
Steps = tuple[tuple[float | None, str], ...]
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "#8e8e8e"


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus and the name of its answers; instant ones ask for now alone."""

    expr: str
    legend: str = ""
    instant: bool = False
    form: str = "time_series"


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture: its kind, what it asks, and in `says` what it means to whoever looks at it."""

    kind: str
    title: str
    says: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 12
    height: int = 8
    steps: Steps = ((None, GREEN),)
    least: float | None = 0.0
    most: float | None = None
    custom: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)
    mappings: tuple[Json, ...] = ()
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels under it."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What a person may choose: the values of a label, one or several of them."""

    name: str
    label: str
    query: str


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard; `uid` is its address for good."""

    uid: str
    title: str
    says: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]


def row(title: str, *panels: Panel) -> Row:
    """Return a heading with its panels."""
    return Row(title, panels)


def lines(
    title: str,
    says: str,
    *queries: Query,
    unit: str = "short",
    width: int = 12,
    most: float | None = None,
    steps: Steps = ((None, GREEN),),
    piled: Mapping[str, str] | None = None,
) -> Panel:
    """Return a picture over time; from the second of `steps` on there are dashed lines. `piled` has colours by name."""
    custom: dict[str, object] = {"thresholdsStyle": {"mode": "dashed"}} if len(steps) > 1 else {}
    if piled is not None:
        custom |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40, "lineWidth": 1}
    overrides = tuple(
        override(name, {"id": "color", "value": {"mode": "fixed", "fixedColor": color}})
        for name, color in (piled or {}).items()
    )
    return Panel(
        "timeseries", title, says, queries, unit, width, steps=steps, most=most, custom=custom, overrides=overrides
    )


def figure(
    title: str,
    says: str,
    query: Query,
    unit: str = "short",
    width: int = 5,
    most: float | None = None,
    steps: Steps = ((None, GREEN),),
) -> Panel:
    """Return one large number."""
    return Panel("stat", title, says, (query,), unit, width, 5, steps, most=most)


def table(query: str, legend: str = "") -> Query:
    """Return a question whose answers are the rows of a table."""
    return Query(query, legend, instant=True, form="table")


def override(name: str, *properties: Json) -> Json:
    """Return what is different for the column or line of this name."""
    return {"matcher": {"id": "byName", "options": name}, "properties": list(properties)}


def columns(without: Sequence[str], names: Mapping[str, str]) -> Json:
    """Return how a table's columns are left out and named."""
    left_out = dict.fromkeys(without, True)
    return {"id": "organize", "options": {"excludeByName": left_out, "renameByName": dict(names), "indexByName": {}}}


def worded(words: Sequence[tuple[float, str, str]]) -> tuple[Json, ...]:
    """Return numbers as words with colours: (value, text, colour)."""
    options = {
        str(int(value)): {"text": text, "color": color, "index": number}
        for number, (value, text, color) in enumerate(words)
    }
    return ({"type": "value", "options": options},)

"""Figures as the page writes them, read back; and rates held against the records themselves."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "days": 86400.0}
# Keeps what the lag view shows of every look, however slow whoever asks for it is.
RECORD = """(group) => {
  window.looks = [];
  const text = (row, figure) => row.querySelector(`[data-figure=${figure}]`)?.innerText ?? null;
  const names = ["lag", "in", "out", "end", "kept"];
  const figures = (row) => Object.fromEntries(names.map((name) => [name, text(row, name)]));
  setInterval(() => {
    const panel = document.querySelector(".groups");
    const at = Number(panel?.dataset.at ?? 0);
    if (!at || at === window.looks.at(-1)?.at) return;
    const rows = [...document.querySelectorAll("tr[data-partition]")]
      .map((row) => ({ topic: row.dataset.topic, partition: Number(row.dataset.partition), ...figures(row) }));
    if (rows.length) window.looks.push({ at, rows, group: figures(panel.querySelector(`tr[data-key="${group}"]`)) });
  }, 100);
}"""


def tiles_of(page: Page) -> dict[str, str]:
    """Return what the overview's tiles say, by their names."""
    return dict(one.split("\n")[:2] for one in page.locator(".tiles > div").all_inner_texts())


def lines_of(folder: Path, name: str = "decisions.jsonl") -> list[dict[str, Any]]:
    """Return the lines of a run's file; what somebody said may hold other ends of lines."""
    return [json.loads(line) for line in (folder / name).read_text().split("\n") if line]


def per_second(shown: str) -> tuple[float, float]:
    """Return a rate and half of its last digit: 0.4/s, 12/s, 3.0/min."""
    number, unit = shown.replace(",", "").split("/")
    half = 0.05 if "." in number else 0.5
    scale = 60.0 if unit == "min" else 1.0
    return float(number) / scale, half / scale


def seconds(shown: str) -> tuple[float, float]:
    """Return a span of time and half of its last digit: 1.4 s, 59 min, 2 h 5 min."""
    parts = re.findall(r"([\d.]+) (ms|s|min|h|days)", shown)
    number, unit = parts[-1]
    half = _SECONDS[unit] * (0.05 if "." in number else 0.5)
    return sum(float(one) * _SECONDS[name] for one, name in parts), half


def between(moments: Sequence[float], begin: float, end: float) -> int:
    """Return how many of these sorted moments lie in a stretch."""
    return bisect_right(moments, end) - bisect_left(moments, begin)


class Looked:
    """When the dashboard looked, by its own history: what a rate is taken between is its definition, not its value."""

    def __init__(self, history: Mapping[str, Any], window_seconds: float) -> None:
        self._window = window_seconds
        self._of = {
            (row["topic"], row["partition"]): [
                at for at, lag in zip(history["at"], row["lag"], strict=True) if lag is not None
            ]
            for row in history["rows"]
        }

    def since(self, place: tuple[str, int], at: float) -> float:
        """Return the look that a rate of the look `at` begins with."""
        return next(one for one in self._of[place] if one >= at - self._window)

    def bounds(
        self, place: tuple[str, int], at: float, moments: Sequence[float], late_seconds: float
    ) -> tuple[float, float]:
        """Return between which rates a look must find events of these moments.

        A look takes a moment, and what is counted is told up to `late_seconds` after it was stamped.
        """
        edge, begin = 1.5, self.since(place, at)
        least = between(moments, begin + edge, at - edge - late_seconds)
        most = between(moments, begin - edge - late_seconds, at + edge)
        took = at - begin
        return max(0, least) / (took + edge), most / max(took - edge, 0.5)

"""The figures as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

# Figures of a group share the beginning of their names; the first group that fits takes a figure.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Heads, test dialogues": ("p_form", "p_intent"),
    "Heads for scenes that come as chains": ("chain_p",),
    "People's ratings (conture_turn, never trained on)": ("conture",),
    "Mean cosine with the true next turn, all kinds of spoiling": (
        "cosine_draft",
        "cosine_blend",
        "cosine_other",
        "cosine_echo",
    ),
    "Bridge at gain >= .30, share within .30 of the truth, beside its controls (ridge alone)": ("bridge_",),
    "Regeneration at fidelity >= .35, beside its controls": ("regeneration",),
    "Worked example": ("example",),
    "Towers and ridge": ("tower", "ridge", "echo"),
}
_BRIDGE_MEMORY = "The same with a memory of train dialogues"


def print_figures(figures: Mapping[str, float]) -> None:
    """Print every figure once, in groups."""
    console = Console()
    left = dict(figures)
    memory = {name: left.pop(name) for name in list(left) if name.startswith("bridge_memory")}
    for title, beginnings in GROUPS.items():
        _print(console, title, {name: left.pop(name) for name in list(left) if name.startswith(beginnings)})
        if beginnings == ("bridge_",):
            _print(console, _BRIDGE_MEMORY, memory)
    _print(console, "Lexicon, decomposition, registers and sizes", left)


def _print(console: Console, title: str, figures: Mapping[str, float]) -> None:
    if not figures:
        return
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, figure in figures.items():
        table.add_row(name, f"{figure:.3f}" if abs(figure) < 1000 and figure != int(figure) else f"{figure:,.0f}")
    console.print(table)

"""Chains in the terminal: codes with their weights as bars, and what each gave way to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.decision import Decision
from schemas.scene import Code, Healing
from streams.cli.terminal import bar, clean


def draw_chains(decisions: Sequence[Decision], *, bars: bool = True) -> RenderableType:
    """Return the chain of a scene that was not healed; else, for each healing, what became of every code.

    Weights are numbers, with `bars` also drawn.
    """
    healed = [decision for decision in decisions if decision.healing is not None]
    if not healed:
        grid = _grid(2)
        for code in decisions[0].chain:
            grid.add_row(Text(clean(code.code, 24)), _weight(code, _heaviest(decisions[0].chain, bars=bars)))
        return grid
    lines: list[RenderableType] = []
    for decision in healed:
        healing = decision.healing
        if healing is not None:
            grid = _grid(4)
            for row in _swaps(healing, decision.chain, bars=bars):
                grid.add_row(*row)
            lines += [Text(_route(decision, healing), "dim"), grid]
    return Group(*lines)


def _grid(columns: int) -> Table:
    grid = Table.grid(padding=(0, 1))
    for _ in range(columns):
        grid.add_column(no_wrap=True)
    return grid


def _route(decision: Decision, healing: Healing) -> str:
    if healing.route == "regeneration":
        return f"regenerated: {healing.from_register or 'no register'} ► {decision.register}"
    return f"bridged: {healing.strength}, from the {healing.source}"


def _swaps(healing: Healing, after: Sequence[Code], *, bars: bool) -> Iterator[tuple[RenderableType, ...]]:
    """Yield a row for each code: kept, given way to its nearest, gone or come."""
    old, new = {code.code: code for code in healing.before}, {code.code: code for code in after}
    before_heaviest, after_heaviest = _heaviest(healing.before, bars=bars), _heaviest(after, bars=bars)
    swaps = {swap.old: swap for swap in healing.swaps}
    swapped = {swap.new for swap in healing.swaps}
    for name, code in old.items():
        left = (Text(clean(name, 20)), _weight(code, before_heaviest))
        if name in new:
            yield (*left, Text("═══ kept ══►", "green"), _named(new[name], after_heaviest))
        elif name in swaps and swaps[name].new in new:
            swap = swaps[name]
            yield (*left, Text(f"── {swap.closeness:+.2f} ──►", "cyan"), _named(new[swap.new], after_heaviest))
        else:
            yield (*left, Text("── gone ───┤", "red"), Text(""))
    for name, code in new.items():
        if name not in old and name not in swapped:
            yield (Text(""), Text(""), Text("── come ───►", "yellow"), _named(code, after_heaviest))


def _heaviest(chain: Sequence[Code], *, bars: bool) -> float | None:
    """Return what a full bar stands for; None where none is drawn."""
    return max((code.weight for code in chain if code.weight > 0.0), default=1.0) if bars else None


def _weight(code: Code, heaviest: float | None) -> Text:
    if heaviest is None:
        return Text(f"{code.weight:.2f}", "dim")
    return Text.assemble(bar(code.weight / heaviest, 8, "blue"), (f" {code.weight:.2f}", "dim"))


def _named(code: Code, heaviest: float | None) -> Text:
    return Text.assemble(_weight(code, heaviest), " ", clean(code.code, 20))

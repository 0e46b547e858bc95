"""One scene as a picture in the terminal: what was said, the chain before and after, what was decided and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.decision import Decision, LedgerView
from schemas.names import Origin, Verdict
from schemas.scene import Utterance
from streams.cli.chains import draw_chains
from streams.cli.terminal import bar, clean
from streams.stages.reading import Candidate

_SHOWN_TURNS = 4
_TEXT_CHARACTERS = 360
_WIDEST = 100
# Under so many columns bars and what parts mean are left out, and numbers stay whole.
_NARROW = 76
_COLOURS = {
    Verdict.READY: "green",
    Verdict.WITHHELD: "red",
    Verdict.REASONING: "magenta",
    Verdict.REGENERATE: "cyan",
    Verdict.ANALOGUE: "cyan",
}
_PARTS = {
    "resonance": "P(a person accepts it)",
    "intent": "P(its meaning is right)",
    "fidelity": "cosine of chain and draft",
    "field": "how the codes excite here",
    "activation": "nearest thing said before",
    "depth": "how far back it reaches",
    "tension": "how the codes pull apart",
    "density": "codes per ten words",
    "gain": "cosine to come, foretold",
}
_COMPARED = {Origin.FRESH: "resonance", Origin.REGENERATION: "fidelity", Origin.BRIDGE: "gain"}


@dataclass(frozen=True, slots=True)
class Baseline:
    """What random chains in the place of the bridge's choice come to: their gains, and the seed they were drawn by."""

    gains: tuple[float, ...]
    seed: int

    def share_at_least(self, gain: float) -> float:
        """Return the share of random chains that gain at least as much, 0..1."""
        return sum(random >= gain for random in self.gains) / max(1, len(self.gains))


@dataclass(frozen=True, slots=True)
class Story:
    """A scene to be shown: its decisions in order, its words (None: not kept), and what a typed-in one adds."""

    decisions: tuple[Decision, ...]
    context: tuple[Utterance, ...] | None
    draft: str | None
    candidates: tuple[Candidate, ...] = ()
    baseline: Baseline | None = None


def draw(story: Story, console: Console) -> None:
    """Print the picture, at most 100 columns wide; in less than 76 it has fewer bars."""
    console.print(Group(*_sections(story, narrow=console.width < _NARROW)), width=min(console.width, _WIDEST))


def _sections(story: Story, *, narrow: bool) -> Iterator[RenderableType]:
    last = story.decisions[-1]
    yield _words(story)
    yield _panel("chain", draw_chains(story.decisions, bars=not narrow))
    yield _panel("parts", _parts(story.decisions, meanings=not narrow))
    if story.candidates:
        yield _panel("what the bridge offered", _offers(story, last))
    yield _panel("way", _way(story.decisions))
    yield _panel("ledger", _ledger(last.ledger))
    yield _verdict(last)


def _panel(title: str, body: RenderableType) -> Panel:
    return Panel(body, title=Text(title), title_align="left", box=box.ROUNDED, border_style="dim")


def _words(story: Story) -> Panel:
    last = story.decisions[-1]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(ratio=1)
    if story.context is None:
        grid.add_row("", Text("the run kept no words (--no-texts)", "dim"))
    else:
        hidden = len(story.context) - _SHOWN_TURNS
        if hidden > 0:
            grid.add_row("", Text(f"… {hidden} earlier", "dim"))
        for said in story.context[-_SHOWN_TURNS:]:
            grid.add_row(said.role, Text(clean(said.text, _TEXT_CHARACTERS)))
        if not story.context:
            grid.add_row("", Text("nothing was said before", "dim"))
        spoilt = f"draft ({clean(last.spoilt, 16)})" if last.spoilt else "draft"
        draft = "none: it came as a chain or a vector" if story.draft is None else clean(story.draft, _TEXT_CHARACTERS)
        grid.add_row(Text(spoilt), Text(draft, "dim" if story.draft is None else "bold"))
    names = [last.scene_id, *(f"{what} {name}" for what, name in (("user", last.user_id), ("task", last.task)) if name)]
    return _panel(" · ".join(clean(name, 60) for name in names), grid)


def _parts(decisions: Sequence[Decision], *, meanings: bool) -> Table:
    first, last = decisions[0], decisions[-1]
    healed = len(decisions) > 1
    table = Table(box=None, pad_edge=False, show_header=healed)
    table.add_column("")
    table.add_column("fresh" if healed else "", justify="right")
    if healed:
        table.add_column("healed", justify="right")
    table.add_column("", no_wrap=True)
    if meanings:
        table.add_column("", style="dim", overflow="fold")
    for name, meaning in _PARTS.items():
        before, after = _part(first, name), _part(last, name)
        shown = after if healed else before
        compared = _COMPARED[last.origin] == name
        numbers = [_number(before), _number(after)] if healed else [_number(before)]
        told = f"{last.threshold:.2f} is needed (│)" if compared else meaning
        if healed and name == "resonance":
            told = "healed: 1 - risk"
        share = None if shown is None else shown / 3 if name == "density" else shown
        cells = 16 if meanings else 8
        drawn = Text("") if share is None else bar(share, cells, "blue", last.threshold if compared else None)
        table.add_row(Text(name, "bold" if compared else ""), *numbers, drawn, *([told] if meanings else []))
    return table


def _part(decision: Decision, name: str) -> float | None:
    value: float | None = decision.resonance if name == "resonance" else getattr(decision.parts, name)
    return value


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _offers(story: Story, last: Decision) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    table.add_column("gain", justify="right")
    table.add_column("from")
    table.add_column("chain", overflow="fold")
    if story.baseline is not None:
        table.add_column("random chains", justify="right")
    chosen = [code.code for code in last.chain]
    for candidate in sorted(story.candidates, key=lambda one: -one.gain)[:8]:
        codes = [code.code for code in candidate.chain]
        style = "bold" if codes == chosen else ""
        row: list[str | Text] = [f"{candidate.gain:.2f}", candidate.source, Text(" + ".join(codes), style)]
        if story.baseline is not None:
            row.append(f"{story.baseline.share_at_least(candidate.gain):.1%}")
        table.add_row(*row)
    lines: list[RenderableType] = [table]
    healing = last.healing
    if healing is not None and healing.source == "authored":
        lines.append(Text("the chosen one was authored in analogues.tsv, not found by geometry", "yellow"))
    if story.baseline is not None and healing is not None and healing.gain is not None:
        baseline = story.baseline
        best = max(baseline.gains, default=0.0)
        lines.append(
            Text(
                f"of {len(baseline.gains)} random chains as long, {baseline.share_at_least(healing.gain):.1%} gain as "
                f"much as the chosen one or more (best {best:.2f}; seed {baseline.seed})"
            )
        )
    return Group(*lines)


def _way(decisions: Sequence[Decision]) -> Table:
    reasons = {decision.attempt: decision.reason for decision in decisions}
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    for step in decisions[-1].lineage:
        told = Text(step.rule, "dim")
        if step.stage == "resonance" and step.attempt in reasons:
            told = Text.assemble((f"{step.rule}: ", "dim"), clean(reasons[step.attempt]))
        grid.add_row(step.stage, Text(f"► {step.outcome}"), told)
    return grid


def _ledger(view: LedgerView) -> Group:
    used = view.errors + view.expected
    told = (
        f"{view.account}: {view.errors} errors and {view.expected:.2f} expected, of at most {view.bound:.2f}; "
        f"{view.offered} offered, {view.emitted} emitted, {view.pending} without a label"
    )
    return Group(bar(used / view.bound if view.bound > 0 else 1.0, 40, "blue"), Text(told))


def _verdict(last: Decision) -> Panel:
    colour = _COLOURS[last.verdict]
    lines = [Text.assemble((last.verdict.value.upper(), f"bold {colour}"), f"  {last.rule}: {clean(last.reason)}")]
    if last.cue is not None:
        lines.append(Text.assemble(("cue: ", "dim"), clean(last.cue)))
    if last.flags:
        lines.append(Text("flags: " + ", ".join(last.flags), "dim"))
    return Panel(Group(*lines), title="verdict", title_align="left", box=box.ROUNDED, border_style=colour)

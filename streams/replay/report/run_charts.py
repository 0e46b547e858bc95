"""The report's charts of a whole run: the ways scenes took, verdicts over time, resonance, registers, the ledger."""

from __future__ import annotations

from schemas.names import REGISTERS, Origin, Verdict
from streams.replay.report.chart import (
    FIRST_VERDICT_COLOURS,
    FIRST_VERDICT_NAMES,
    OUTCOME_NAMES,
    Chart,
    Json,
    Key,
    axis,
    bars,
    colour,
    count_axis,
    histogram_rows,
    layout,
    line,
    share,
    turn_axis,
)
from streams.replay.report.data import OUTCOMES, RunData


def flow(data: RunData) -> Chart:
    """Return the ways that scenes took: from where they came to what was decided."""
    stations = ["Fresh", "Regeneration", "Bridge", "Ready", "Withheld", "Reasoning"]
    tints = ["ink-3", "regenerated", "bridged", "ready", "withheld", "reasoning"]
    sources = {Origin.FRESH: 0, Origin.REGENERATION: 1, Origin.BRIDGE: 2}
    targets = {Verdict.REGENERATE: 1, Verdict.ANALOGUE: 2, Verdict.READY: 3, Verdict.WITHHELD: 4, Verdict.REASONING: 5}
    links = [(origin, verdict) for origin in sources for verdict in targets if data.flow[origin, verdict]]
    trace = {
        "type": "sankey",
        "arrangement": "snap",
        "node": {
            "label": stations,
            "color": [colour(tint) for tint in tints],
            "pad": 18,
            "thickness": 10,
            "line": {"width": 0},
            "hovertemplate": "%{label}: %{value:,}<extra></extra>",
        },
        "link": {
            "source": [sources[origin] for origin, _ in links],
            "target": [targets[verdict] for _, verdict in links],
            "value": [data.flow[link] for link in links],
            "color": [colour(f"{tints[targets[verdict]]}-soft") for _, verdict in links],
            "hovertemplate": "%{source.label} to %{target.label}: %{value:,}<extra></extra>",
        },
        "textfont": {"color": colour("ink"), "size": 12},
    }
    return Chart(
        name="flow",
        label="Flow: how many scenes went from the draft, from regeneration and from the bridge to each verdict.",
        height=320,
        figure={"data": [trace], "layout": {"margin": {"l": 4, "r": 4, "t": 12, "b": 12}}},
        keys=(),
        columns=("From", "To", "Scenes"),
        rows=tuple(
            (stations[sources[origin]], stations[targets[verdict]], f"{data.flow[origin, verdict]:,}")
            for origin, verdict in links
        ),
    )


def resonance(data: RunData, theta0: float | None) -> Chart:
    """Return how resonance was spread over fresh scenes by first verdict, with the thresholds they met."""
    shown = [verdict for verdict in FIRST_VERDICT_NAMES if data.resonance[verdict].total]
    bins = data.resonance[Verdict.READY].centres
    traces = [
        bars(
            bins,
            data.resonance[verdict].counts,
            FIRST_VERDICT_NAMES[verdict].capitalize(),
            FIRST_VERDICT_COLOURS[verdict],
            width=data.resonance[verdict].width,
            hovertemplate="%{y:,}",
        )
        for verdict in shown
    ]
    most = max(sum(column) for column in zip(*(data.resonance[verdict].counts for verdict in shown), strict=True))
    low, middle, high = (data.thresholds.quantile(share) for share in (0.05, 0.5, 0.95))
    shapes: list[Json] = []
    keys = [Key(FIRST_VERDICT_COLOURS[verdict], FIRST_VERDICT_NAMES[verdict].capitalize()) for verdict in shown]
    words = ""
    if low is not None and middle is not None and high is not None:
        band = {"type": "rect", "x0": low, "x1": high, "y0": 0, "y1": 1, "yref": "paper"}
        shapes.append({**band, "fillcolor": colour("band"), "line": {"width": 0}, "layer": "below"})
        shapes.append(line(middle, f"median threshold {middle:.2f}"))
        keys.append(Key("band", f"Nine in ten thresholds: {low:.2f} to {high:.2f}", "band"))
        words = f" The median threshold was {middle:.2f}, nine in ten lay between {low:.2f} and {high:.2f}."
        if theta0 is not None:
            words += f" They start from {theta0:.2f}."
    frame = layout(
        axis("Resonance (p_form) of the draft", range=[0, 1], dtick=0.2, hoverformat=".2f"),
        count_axis("Scenes", most),
        shapes=shapes,
    )
    width = data.resonance[Verdict.READY].width
    return Chart(
        name="resonance",
        label=f"Histogram of resonance over fresh scenes by first verdict.{words}",
        height=300,
        figure={"data": traces, "layout": frame},
        keys=tuple(keys),
        columns=("Resonance", *(FIRST_VERDICT_NAMES[verdict].capitalize() for verdict in shown)),
        rows=histogram_rows(bins, width, [data.resonance[verdict].counts for verdict in shown]),
    )


def verdicts_over_time(data: RunData) -> Chart:
    """Return what became of scenes along the run, as shares of each stretch of turns."""
    cells, starts = data.timeline.cells, data.timeline.starts
    cells = [cell for cell in cells if cell.outcomes.total()]
    starts = starts[: len(cells)]
    totals = [cell.outcomes.total() for cell in cells]
    width = data.timeline.width
    spans = [
        f"{start + 1:,}–{start + total:,}" if total > 1 else f"{start + 1:,}"
        for start, total in zip(starts, totals, strict=True)
    ]
    traces = [
        bars(
            [start + width / 2 for start in starts],
            [share(cell.outcomes[outcome], total) for cell, total in zip(cells, totals, strict=True)],
            OUTCOME_NAMES[outcome],
            outcome,
            width=width,
            customdata=[[cell.outcomes[outcome], span] for cell, span in zip(cells, spans, strict=True)],
            hovertemplate="%{customdata[0]:,} (%{y:.1%})",
        )
        for outcome in OUTCOMES
    ]
    frame = layout(
        turn_axis(data.scenes),
        axis(tickformat=".0%", range=[0, 1], dtick=0.25),
    )
    return Chart(
        name="verdicts",
        label=f"Stacked bars: the share of each outcome in every {width:,} turns, over {data.scenes:,} scenes.",
        height=300,
        figure={"data": traces, "layout": frame},
        keys=tuple(Key(outcome, OUTCOME_NAMES[outcome]) for outcome in OUTCOMES),
        columns=("Turns", *(OUTCOME_NAMES[outcome] for outcome in OUTCOMES)),
        rows=tuple(
            (span, *(f"{cell.outcomes[outcome]:,}" for outcome in OUTCOMES))
            for span, cell in zip(spans, cells, strict=True)
        ),
    )


def registers(data: RunData) -> Chart | None:
    """Return the mix of registers within each outcome, of the scenes that have one; None where none has."""
    totals = {outcome: sum(data.registers[outcome, voice] for voice in REGISTERS) for outcome in OUTCOMES}
    outcomes = [outcome for outcome in OUTCOMES if totals[outcome]]
    if not outcomes:
        return None
    names = [OUTCOME_NAMES[outcome] for outcome in outcomes]
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "y": names,
            "x": [share(data.registers[outcome, voice], totals[outcome]) for outcome in outcomes],
            "name": voice.capitalize(),
            "marker": {"color": colour(f"register-{voice}")},
            "customdata": [data.registers[outcome, voice] for outcome in outcomes],
            "hovertemplate": "%{fullData.name}: %{customdata:,} (%{x:.1%})<extra></extra>",
        }
        for voice in REGISTERS
    ]
    frame = layout(
        axis(tickformat=".0%", range=[0, 1], dtick=0.25),
        axis(autorange="reversed", automargin=False, showgrid=False, ticklen=6, tickcolor="rgba(0,0,0,0)"),
        bargap=0.35,
        hovermode="closest",
        margin={"l": 140, "r": 18, "t": 8, "b": 30},
    )
    return Chart(
        name="registers",
        label="Stacked bars: the share of each register within each outcome.",
        height=60 + 42 * len(outcomes),
        figure={"data": traces, "layout": frame},
        keys=tuple(Key(f"register-{voice}", voice.capitalize()) for voice in REGISTERS),
        columns=("Outcome", *(voice.capitalize() for voice in REGISTERS), "None"),
        rows=tuple(
            (OUTCOME_NAMES[outcome], *(f"{data.registers[outcome, voice]:,}" for voice in (*REGISTERS, None)))
            for outcome in OUTCOMES
            if data.outcomes[outcome]
        ),
    )

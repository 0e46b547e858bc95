"""The report's charts of healing, and the small ones of a scene's parts."""

from __future__ import annotations

from collections.abc import Sequence

from streams.replay.report.chart import (
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
    without_tails,
)
from streams.replay.report.data import PART_BINS, PART_RANGES, RunData
from streams.replay.report.sketches import Histogram

# Bins of .05, so that the customary thresholds (.30, .35) lie between two of them.
_FINE_BINS_EACH = 5


def regenerated(data: RunData, fidelity_min: float | None) -> Chart | None:
    """Return the fidelity of regenerated scenes before and after, or None where nothing was regenerated."""
    stats = data.healings.get(("regeneration", None))
    if stats is None:
        return None
    before, after = (each.coarse(_FINE_BINS_EACH) for each in (stats.fidelity_before, stats.fidelity_after))
    traces = []
    for histogram, tint, name in (
        (stats.fidelity_before, "withheld", "Before"),
        (stats.fidelity_after, "regenerated", "After, in the next register"),
    ):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": Histogram(histogram.low, histogram.high, histogram.bins // _FINE_BINS_EACH).centres,
                "y": without_tails(histogram.coarse(_FINE_BINS_EACH)),
                "name": name,
                "line": {"shape": "hvh", "width": 2, "color": colour(f"{tint}-line")},
                "fill": "tozeroy",
                "fillcolor": colour(f"{tint}-soft"),
                "hovertemplate": "%{y:,}",
            }
        )
    return _healed_chart(
        name="regenerated",
        label="Fidelity (cosine of the chain with the scene's embedding) of regenerated scenes, before and after.",
        title="Fidelity of the chain to the scene",
        traces=traces,
        keys=(Key("withheld", "Before"), Key("regenerated", "After, in the next register")),
        shapes=[] if fidelity_min is None else [line(fidelity_min, f"needs {fidelity_min:.2f}")],
        columns=("Before", "After"),
        counts=[before, after],
        most=max(*before, *after),
    )


def bridged(data: RunData, gain_min: float | None) -> Chart | None:
    """Return the gain of bridged scenes by strength, ready or not, or None where nothing crossed the bridge."""
    strengths = [key[1] for key in data.healings if key[0] == "bridge"]
    strengths.sort(key=["amplified", "partial", "full", None].index)
    if not strengths:
        return None
    columns, counts, tints = [], [], []
    for strength in strengths:
        columns.append(f"Ready, {strength or 'unnamed'}")
        tints.append(f"bridged-{strength or 'full'}")
        counts.append(data.healings["bridge", strength].gain_ready.coarse(_FINE_BINS_EACH))
    others = [data.healings["bridge", strength].gain_other.coarse(_FINE_BINS_EACH) for strength in strengths]
    columns.append("Not ready")
    tints.append("withheld")
    counts.append([sum(column) for column in zip(*others, strict=True)])
    bins = Histogram(-0.2, 1.0, 24)
    return _healed_chart(
        name="bridged",
        label="Gain (predicted cosine of the healed chain with the true next turn) of bridged scenes, by strength.",
        title="Gain of the healed chain",
        traces=[
            bars(bins.centres, column, name, tint, width=bins.width, hovertemplate="%{y:,}")
            for column, name, tint in zip(counts, columns, tints, strict=True)
        ],
        keys=tuple(Key(tint, name) for tint, name in zip(tints, columns, strict=True)),
        shapes=[] if gain_min is None else [line(gain_min, f"needs {gain_min:.2f}")],
        columns=tuple(columns),
        counts=counts,
        most=max(sum(column) for column in zip(*counts, strict=True)),
    )


def _healed_chart(
    *,
    name: str,
    label: str,
    title: str,
    traces: Sequence[Json],
    keys: tuple[Key, ...],
    shapes: list[Json],
    columns: Sequence[str],
    counts: Sequence[Sequence[int]],
    most: int,
) -> Chart:
    bins = Histogram(-0.2, 1.0, 24)
    x = axis(title, range=[-0.2, 1.0], dtick=0.2, hoverformat=".2f")
    y = count_axis("Healings", most)
    return Chart(
        name=name,
        label=label,
        height=270,
        figure={"data": list(traces), "layout": layout(x, y, shapes=shapes)},
        keys=keys,
        columns=(title, *columns),
        rows=histogram_rows(bins.centres, bins.width, counts),
    )


def parts(data: RunData) -> list[Chart]:
    """Return one small chart a part: its spread over scenes that became ready and over those that did not."""
    charts = []
    for name, (ready, other) in data.parts.items():
        if not ready.total and not other.total:
            continue
        low, high = PART_RANGES[name]
        traces = [
            {
                "type": "scatter",
                "mode": "lines",
                "x": histogram.centres,
                "y": [
                    None if count is None else share(count, histogram.total)
                    for count in without_tails(histogram.counts)
                ],
                "name": label,
                "line": {"shape": "hvh", "width": 1.75, "color": colour(f"{tint}-line")},
                "fill": "tozeroy",
                "fillcolor": colour(f"{tint}-soft"),
                "hovertemplate": "%{y:.1%}",
            }
            for histogram, tint, label in ((other, "withheld", "Not ready"), (ready, "ready", "Ready"))
            if histogram.total
        ]
        medians = [f"{value:.2f}" if value is not None else "–" for value in (ready.quantile(0.5), other.quantile(0.5))]
        charts.append(
            Chart(
                name=f"part-{name}",
                label=f"{name.capitalize()}: median {medians[0]} over {ready.total:,} ready scenes, "
                f"{medians[1]} over {other.total:,} others.",
                height=120,
                figure={
                    "data": traces,
                    "layout": layout(
                        axis(range=[low, high], automargin=False, nticks=4, hoverformat=".2f"),
                        axis(
                            tickformat=".0%", rangemode="tozero", automargin=False, showticklabels=False, showgrid=False
                        ),
                        margin={"l": 8, "r": 12, "t": 4, "b": 22},
                        hovermode=False,
                    ),
                },
                keys=(),
                columns=(name.capitalize(), "Ready", "Not ready"),
                rows=histogram_rows(ready.centres, (high - low) / PART_BINS, [ready.counts, other.counts]),
            )
        )
    return charts

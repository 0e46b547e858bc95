"""The ledger's charts: how much of its bound an account held along the run."""

from __future__ import annotations

from schemas.decision import AccountName
from streams.replay.report.chart import Chart, Json, Key, axis, colour, layout, plain, turn_axis
from streams.replay.report.data import RunData


def ledger(data: RunData, account: AccountName) -> Chart | None:
    """Return how much of its bound an account held along the run, or None where nobody was held against it."""
    points = [
        (start, cell.ledger[account])
        for start, cell in zip(data.timeline.starts, data.timeline.cells, strict=True)
        if cell.ledger[account].worst is not None
    ]
    if not points:
        return None
    x = [start + data.timeline.width / 2 for start, _ in points]
    worst = [cell.worst for _, cell in points if cell.worst is not None]
    middle = [cell.shares.quantile(0.5) or 0.0 for _, cell in points]
    tint = "ready" if account == "drafts" else "bridged"
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": [round(min(point.share, 2.0), 4) for point in worst],
            "name": "Worst user",
            "line": {"color": colour(f"{tint}-line"), "width": 2},
            "fill": "tozeroy",
            "fillcolor": colour(f"{tint}-soft"),
            "text": [f"{plain(point.key)}: {point.held:.2f} of {point.bound:.2f}" for point in worst],
            "hovertemplate": "%{y:.0%} · %{text}",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": [round(value, 4) for value in middle],
            "name": "Median",
            "line": {"color": colour("ink-2"), "width": 1.5, "dash": "dot"},
            "hovertemplate": "%{y:.0%}",
        },
    ]
    bound: Json = {
        "type": "line",
        "x0": 0,
        "x1": 1,
        "xref": "paper",
        "y0": 1,
        "y1": 1,
        "line": {"color": colour("alert"), "width": 1.5},
        "label": {
            "text": "bound",
            "textposition": "start",
            "yanchor": "bottom",
            "font": {"color": colour("alert"), "size": 11},
        },
    }
    top = max(1.15, 1.08 * max(min(point.share, 2.0) for point in worst))
    return Chart(
        name=f"ledger-{account}",
        label=f"Lines: the share of its bound that the {account} account held along the run, worst user and median.",
        height=250,
        figure={
            "data": traces,
            "layout": layout(
                turn_axis(data.scenes),
                axis(tickformat=".0%", range=[0, round(top, 3)], dtick=0.25),
                shapes=[bound],
            ),
        },
        keys=(
            Key(tint, "Worst user"),
            Key("ink-2", "Median of all decisions", "dash"),
            Key("alert", "The bound", "line"),
        ),
        columns=("From turn", "Worst user", "Held", "Bound", "Share", "Median share"),
        rows=tuple(
            (
                f"{start + 1:,}",
                point.key[:60],
                f"{point.held:.2f}",
                f"{point.bound:.2f}",
                f"{point.share:.0%}",
                f"{mid:.0%}",
            )
            for (start, _), point, mid in zip(points, worst, middle, strict=True)
        ),
    )

"""The board of dialogues: what is said, healed and withheld, whether the promise holds, and how workers do."""

from __future__ import annotations

from tools.boards.asked import AT, OF, RATE, quantile, rate
from tools.boards.panels import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    YELLOW,
    Board,
    Panel,
    Query,
    Variable,
    columns,
    figure,
    lines,
    row,
    table,
)
from tools.boards.workers import WORKERS

_FINAL = 'verdict=~"ready|withheld|reasoning"'
_COLORS = {"ready": GREEN, "withheld": GREY, "reasoning": ORANGE, "regenerate": BLUE, "analogue": YELLOW}


def _share(part: str, whole: str, by: str = "") -> str:
    over = f"sum by ({by}) " if by else "sum"
    return f"{over}(increase({part}[15m])) / ({over}(increase({whole}[15m])) > 0)"


_SILENCE = _share(
    f'scenestream_decisions_total{{{OF}, verdict="withheld"}}', f"scenestream_decisions_total{{{OF}, {_FINAL}}}"
)
_READY = _share(
    f'scenestream_decisions_total{{{OF}, verdict="ready"}}', f"scenestream_decisions_total{{{OF}, {_FINAL}}}"
)
_LETTERS = f"scenestream_dead_letters_total{{{AT}}}"
# A series that is new counts from 0, which increase alone does not see.
_NEW_LETTERS = (
    f"sum by (topic, stage, reason) ({_LETTERS} unless {_LETTERS} offset $__range or increase({_LETTERS}[$__range]))"
)

_NOW = row(
    "Now",
    figure(
        "Workers at work",
        "Those that hold partitions and judge.",
        Query(f'sum(scenestream_worker_state{{{OF}, state="working"}})', "working"),
        width=4,
        steps=((None, RED), (1.0, GREEN)),
    ),
    figure(
        "Scenes decided a second",
        "Final verdicts: ready, withheld or reasoning.",
        Query(f"sum(rate(scenestream_decisions_total{{{OF}, {_FINAL}}}[{RATE}]))", "final"),
        unit="cps",
    ),
    figure(
        "Said",
        "Share of final verdicts that go on to generation, over 15 minutes.",
        Query(_READY, "ready"),
        unit="percentunit",
        most=1.0,
        steps=((None, RED), (0.3, YELLOW), (0.5, GREEN)),
    ),
    figure(
        "Silence",
        "Share of final verdicts that say nothing, over 15 minutes. Silence is a valid outcome; half of all is not.",
        Query(_SILENCE, "withheld"),
        unit="percentunit",
        most=1.0,
        steps=((None, GREEN), (0.35, YELLOW), (0.5, RED)),
    ),
    figure(
        "Dead letters",
        "Messages put aside in the time that is shown. `scenestream dead list` names them.",
        Query(f"sum({_NEW_LETTERS}) or vector(0)", "dead", instant=True),
        steps=((None, GREEN), (1.0, ORANGE), (100.0, RED)),
    ),
)
_VERDICTS = row(
    "Verdicts",
    lines(
        "Verdicts a second",
        "Regenerate and analogue are on their way: they are judged again.",
        Query(rate("scenestream_decisions_total", "verdict"), "{{verdict}}"),
        unit="cps",
        piled=_COLORS,
    ),
    lines(
        "Verdicts by rule, a second",
        "ledger.* is withheld for want of room in the promise, bridged.gains_little for want of a chain that holds.",
        Query(rate("scenestream_decisions_total", "rule") + " > 0", "{{rule}}"),
        unit="cps",
    ),
    lines(
        "Said and silent",
        "Shares of final verdicts over 15 minutes. The dashed line is where the alert speaks of silence.",
        Query(_READY, "ready"),
        Query(_SILENCE, "withheld"),
        unit="percentunit",
        most=1.0,
        steps=((None, GREEN), (0.5, RED)),
    ),
    Panel(
        "heatmap",
        "Resonance of fresh scenes",
        "How likely a person would accept each draft as it is: where the mass lies, and whether it moves.",
        (
            Query(
                f'sum by (le) (increase(scenestream_resonance_bucket{{{OF}, origin="fresh"}}[{RATE}]))',
                "{{le}}",
                form="heatmap",
            ),
        ),
        least=None,
    ),
)
_HEALING = row(
    "Healing",
    lines(
        "Healed scenes by what became of them, a second",
        "Route and outcome: of regeneration another register, of the bridge another chain.",
        Query(rate("scenestream_healings_total", "route, outcome") + " > 0", "{{route}} {{outcome}}"),
        unit="cps",
        width=8,
    ),
    lines(
        "Share of healings that may be said",
        "By route, over 15 minutes.",
        Query(
            _share(
                f'scenestream_healings_total{{{OF}, outcome="ready"}}',
                f"scenestream_healings_total{{{OF}}}",
                "route",
            ),
            "{{route}}",
        ),
        unit="percentunit",
        most=1.0,
        width=8,
    ),
    Panel(
        "heatmap",
        "Gain of bridged chains",
        "Predicted nearness to the true next turn; from 0.3 on a chain is said by default.",
        (Query(f"sum by (le) (increase(scenestream_gain_bucket{{{OF}}}[{RATE}]))", "{{le}}", form="heatmap"),),
        width=8,
        least=None,
    ),
)
_PROMISE = row(
    "The promise on errors",
    lines(
        "Room in the ledger",
        "Errors that users' accounts may still hold, after each verdict: the poorest tenth and the median.",
        Query(quantile(0.1, "scenestream_ledger_headroom_errors", "account"), "{{account}} p10"),
        Query(quantile(0.5, "scenestream_ledger_headroom_errors", "account"), "{{account}} median"),
        width=8,
    ),
    lines(
        "Promises without room",
        "Share of verdicts after which the account could not take another error in four; half is the alert.",
        Query(
            _share(
                f'scenestream_ledger_headroom_errors_bucket{{{OF}, le="0.25"}}',
                f"scenestream_ledger_headroom_errors_count{{{OF}}}",
                "account",
            ),
            "{{account}}",
        ),
        unit="percentunit",
        most=1.0,
        width=8,
        steps=((None, GREEN), (0.5, RED)),
    ),
    lines(
        "Feedback a second",
        "Only what was learnt moves thresholds and the ledger.",
        Query(rate("scenestream_feedback_total", "outcome"), "{{outcome}}"),
        unit="cps",
        width=8,
    ),
)
_DEAD = row(
    "Dead letters",
    Panel(
        "table",
        "By topic, stage and reason",
        "Within the time that is shown. A reason that is the name of an exception is ours, the others the sender's.",
        (table(f"{_NEW_LETTERS} > 0"),),
        least=None,
        transformations=(columns(["Time"], {"Value": "letters"}),),
    ),
    lines(
        "Dead letters a minute",
        "How many a minute, by reason.",
        Query(f"60 * {rate('scenestream_dead_letters_total', 'reason', AT)}", "{{reason}}"),
    ),
)
DIALOGUES = Board(
    uid="scenestream-dialogues",
    title="scenestream: dialogue health",
    says="What is said, healed and withheld, whether the promise has room, what could not be read, and how workers do.",
    variables=(
        Variable("instance", "worker", "label_values(scenestream_build_info, instance)"),
        Variable("topic", "topic", "label_values(scenestream_received_records_total, topic)"),
    ),
    rows=(_NOW, _VERDICTS, _HEALING, _PROMISE, _DEAD, WORKERS),
)

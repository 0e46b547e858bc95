"""The page: what was gathered about a run, its charts and its words, put into one HTML file that needs no network.

The page's own policy (Content-Security-Policy, with the hashes of our scripts) forbids everything but what we wrote, so
that no text of a log can come to life in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import jinja2
from markupsafe import Markup

from streams.replay.report import healing_charts, ledger_charts, run_charts, tables, words
from streams.replay.report.cards import healing_card
from streams.replay.report.chart import Chart
from streams.replay.report.data import RunData, aggregate
from streams.replay.report.files import Dead, Summary, read_dead, read_summary
from streams.replay.report.glossary import GLOSSARY
from streams.replay.report.healings import Texts, find_texts

REPORT = "report.html"
_TEMPLATES = Path(__file__).parents[1] / "templates"


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run's directory and return its path.

    Reads decisions.jsonl once, line by line, in bounded memory, and summary.json, texts.jsonl and dead.jsonl where they
    are there; an interrupted or empty run gives a report that says so. The same files give the same bytes. Raises
    OSError where the directory cannot be read or written.
    """
    summary = read_summary(run_dir / "summary.json")
    decisions = run_dir / "decisions.jsonl"
    if decisions.exists():
        with decisions.open("rb") as lines:
            data = aggregate(lines, strict=summary.setting("mode") == "strict")
    else:
        data = aggregate((), strict=False)
    page = render(run_dir.resolve().name, summary, data, read_dead(run_dir / "dead.jsonl"), _texts(run_dir, data))
    target = run_dir / REPORT
    try:
        target.write_bytes(page.encode("utf-8", "replace"))
    except OSError:
        # Half a report would look like a broken one.
        target.unlink(missing_ok=True)
        raise
    return target


def _texts(run_dir: Path, data: RunData) -> dict[str, Texts] | None:
    texts = run_dir / "texts.jsonl"
    if not texts.exists():
        return None
    with texts.open("rb") as lines:
        return find_texts(lines, [decision.scene_id for decision in data.candidates.chosen()])


def render(name: str, summary: Summary, data: RunData, dead: Dead, texts: dict[str, Texts] | None) -> str:
    """Return the page of a run; `texts` is None where the run kept none."""
    figures = _charts(summary, data)
    small = healing_charts.parts(data) if data.scenes else []
    specs = {chart.name: chart.figure for chart in (*figures.values(), *small)}
    plotly, script = plotly_js(), (_TEMPLATES / "report.js").read_text("utf-8")
    mode = words.mode(summary)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words.FILTERS)
    return environment.get_template("report.html").render(
        name=name,
        summary=summary,
        data=data,
        dead=dead,
        charts=figures,
        parts=small,
        headline=words.headline(summary, data),
        notices=words.notices(summary, data),
        mode=mode,
        rules=words.rules(data),
        healing_rows=tables.healing_rows(data),
        ledger_words={account: words.ledger_words(data.tightest[account], mode[0]) for account in data.tightest},
        healings=[healing_card(decision, texts) for decision in data.candidates.chosen()],
        has_texts=texts is not None,
        controls=tables.controls(summary),
        glossary=GLOSSARY,
        css=Markup((_TEMPLATES / "report.css").read_text("utf-8")),  # noqa: S704 -- our own file
        script=Markup(script),  # noqa: S704 -- our own file
        plotly=Markup(plotly),  # noqa: S704 -- the library, which holds no closing tag
        figures=json_for_script(specs),
        script_hashes=" ".join(_hash(text) for text in (plotly, script)),
    )


def _charts(summary: Summary, data: RunData) -> dict[str, Chart]:
    if not data.decisions:
        return {}
    made = [
        run_charts.flow(data),
        run_charts.resonance(data, summary.number("theta0")) if data.thresholds.total else None,
        run_charts.verdicts_over_time(data) if data.scenes else None,
        run_charts.registers(data),
        ledger_charts.ledger(data, "drafts"),
        ledger_charts.ledger(data, "healed"),
        healing_charts.regenerated(data, summary.number("fidelity_min")),
        healing_charts.bridged(data, summary.number("gain_min")),
    ]
    return {chart.name: chart for chart in made if chart is not None}


def json_for_script(value: Mapping[str, object]) -> Markup:
    """Return `value` as JSON that no string in it can end a script element with (no <, >, &, U+2028 or U+2029)."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 -- just made safe


def plotly_js() -> str:
    """Return plotly.js as its package holds it; raises FileNotFoundError where that is not installed."""
    # Only the file is wanted: importing plotly itself costs more than the whole report.
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("plotly is not installed, and the report's charts need it: pip install plotly")
    return (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_text("utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"

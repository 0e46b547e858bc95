from __future__ import annotations

from tools import metrics


def test_the_page_of_metrics_is_what_metrics_say() -> None:
    assert metrics.PAGE.read_text(encoding="utf-8") == metrics.text(), "run python -m tools.metrics"

"""docs/dashboard.md names the test of every number: they are there under those names."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHORT = {
    "L": "tests/browser/test_dashboard_live.py",
    "P": "tests/browser/test_dashboard_page.py",
    "U": "tests/browser/test_dashboard_published.py",
}


def test_every_number_names_a_test_that_is_there() -> None:
    lines = (ROOT / "docs/dashboard.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| number")]
    assert len(rows) > 25
    for row in rows:
        named = re.findall(r"`([\w./]+)::(\w+)`", row)
        assert named, row
        for file, test in named:
            assert f"\ndef {test}(" in (ROOT / SHORT.get(file, file)).read_text(), (file, test)

"""The report of a run: `write_report(run_dir)` makes one self-contained HTML file of what the directory holds."""

from __future__ import annotations

from streams.replay.report.page import write_report

__all__ = ["write_report"]

"""A worker as `scenestream worker` runs it, but with models that know nothing: `python fake_worker.py`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS.parent), str(_TESTS), str(_TESTS / "contract")]

if __name__ == "__main__":
    from fake_scorer import FakeScorer

    from streams.logs import configure
    from streams.runtimes.worker_run import run
    from streams.settings import Settings
    from tests.chaos.wounds import wound

    wound(os.environ)
    settings = Settings()
    configure(settings.log_level, settings.log_format)
    told = os.environ.get
    scorer = FakeScorer(
        pause_seconds=float(told("FAKE_PAUSE_SECONDS", "0")),
        fails_on=told("FAKE_FAILS_ON"),
        hangs_on=told("FAKE_HANGS_ON"),
        hangs_in=told("FAKE_HANGS_IN", "encode"),
        breaks_on=told("FAKE_BREAKS_ON"),
        dies_on=told("FAKE_DIES_ON"),
    )
    run(settings, scorer, {"fake": "0" * 64})

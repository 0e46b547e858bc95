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
    scorer = FakeScorer(float(os.environ.get("FAKE_PAUSE_SECONDS", "0")), os.environ.get("FAKE_FAILS_ON"))
    run(settings, scorer, {"fake": "0" * 64})

"""A worker as `scenestream worker` runs it, but with models that know nothing: `python fake_worker.py`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS.parent), str(_TESTS), str(_TESTS / "contract")]

if __name__ == "__main__":
    from fake_scorer import FakeScorer
    from faust.web import Request, Response, View

    from streams.logs import configure
    from streams.runtimes import worker_run
    from streams.runtimes.worker import Live
    from streams.runtimes.worker_web import add_pages
    from streams.settings import Settings, WebSettings
    from tests.chaos.wounds import wound

    def and_the_table(live: Live, web: WebSettings) -> None:
        """Add a page that shows what Faust's own table holds; Faust's page of tables is off, for it has no masks."""
        add_pages(live, web)

        @live.app.page("/faust-table")  # type: ignore[untyped-decorator,unused-ignore]
        async def table(view: View, request: Request) -> Response:
            del request
            held = live.app.tables["sensitivity"]
            return view.json({key.decode(): held[key].decode() for key in held})

    worker_run.add_pages = and_the_table
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
    worker_run.run(settings, scorer, {"fake": told("FAKE_SHA256", "0" * 64)})

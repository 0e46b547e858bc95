"""What the page asks of run directories, whoever found them: a comparison of two, and a report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from aiohttp import web

from streams.ops.dashboard.beat import wants_texts
from streams.ops.dashboard.veil import Veil
from streams.ops.dashboard.web import Refused, answer_model
from streams.ops.replays.comparison import compare
from streams.replay.run_dir import TEXTS, RunDirError

# A report brings its scripts within itself, under a policy of its own; here it also gets no origin to speak for.
_REPORT_HEADERS = {"Content-Security-Policy": "sandbox allow-scripts; frame-ancestors 'none'"}


class Comparisons:
    """Answers how a run differs from a baseline; `folder_of` finds a run by its name, or raises Refused.

    Examples are named by ids for those who may see them, by masks for others; by ids for all without a veil.
    """

    def __init__(self, folder_of: Callable[[str], Path], veil: Veil | None) -> None:
        self._folder_of = folder_of
        self._veil = veil
        # It reads two whole runs: whoever asks often must not take the threads that the page lives on.
        self._comparing = asyncio.Lock()

    async def answer(self, request: web.Request) -> web.Response:
        """Return the comparison of the runs that the query names; raises Refused where one is none."""
        run, baseline = (self._folder_of(request.query.get(name, "")) for name in ("run", "baseline"))
        veil = None if wants_texts(request) else self._veil
        name = str if veil is None else partial(veil.name, "scene_id")
        try:
            async with self._comparing:
                return answer_model(await asyncio.to_thread(compare, run, baseline, name=name))
        except RunDirError as error:
            raise Refused(404, str(error)) from error


def report_of(folder: Path, *, texts: bool) -> web.StreamResponse:
    """Return a run's report as a page; raises Refused where it has none, or quotes words that may not be shown."""
    path = folder / "report.html"
    if not path.is_file():
        raise Refused(404, "that run has no report")
    if (folder / TEXTS).exists() and not texts:
        raise Refused(401, "this report quotes what was said: sign in, or open report.html in the run's own directory")
    return web.FileResponse(path, headers=_REPORT_HEADERS)

"""Replays from the page: started, followed, and held against each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from aiohttp import web

from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.run_pages import Comparisons, report_of
from streams.ops.dashboard.veil import Veil
from streams.ops.dashboard.web import Refused, answer, answer_model, body_of, session_of
from streams.ops.replays.asked import ReplayOrder
from streams.ops.replays.jobs import Jobs
from streams.ops.replays.shelf import OrderError
from streams.settings import KafkaSettings, OpsSettings

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 1.0
# Runs and logs come and go less often than jobs move.
_LISTED_EVERY = 10


class Replaying:
    """Publishes jobs, runs and logs, and takes orders from those who may give them."""

    def __init__(self, feed: Feed, jobs: Jobs, veil: Veil) -> None:
        self._feed = feed
        self._jobs = jobs
        self._comparisons = Comparisons(self._folder, veil)

    def add_routes(self, app: web.Application) -> None:
        """Add orders, comparisons and reports."""
        app.router.add_post("/api/replays", self._ask)
        app.router.add_delete("/api/replays/{job}", self._stop)
        app.router.add_get("/api/compare", self._comparisons.answer)
        app.router.add_get("/runs/{name}/report.html", self._report)

    async def follow(self) -> None:
        """Publish what there is, until cancelled."""
        listed: tuple[object, object] = ((), ())
        ended = -1
        turn = 0
        while True:
            jobs = self._jobs.all()
            over = sum(job.ended_at is not None for job in jobs)
            if turn % _LISTED_EVERY == 0 or over != ended:
                ended = over
                try:
                    listed = await asyncio.to_thread(self._on_disk)
                except OSError:
                    # Folders that may not be read, or that go while they are: the jobs still want to be told.
                    _log.warning("folders_unread", exc_info=True)
            try:
                told = [job.model_dump(mode="json") for job in jobs]
                self._feed.publish("replays", {"jobs": told, "runs": listed[0], "logs": listed[1]})
            except Exception:  # noqa: BLE001 - the next may go better, and figures that stand still look like peace
                _log.exception("replays_not_published")
            turn += 1
            await asyncio.sleep(_LOOK_SECONDS)

    def _on_disk(self) -> tuple[object, object]:
        shelf = self._jobs.shelf
        return [one.model_dump(mode="json") for one in shelf.runs()], list(shelf.logs())

    async def _ask(self, request: web.Request) -> web.Response:
        order = await body_of(request, ReplayOrder)
        try:
            return answer_model(self._jobs.ask(order))
        except OrderError as error:
            raise Refused(400, str(error)) from error

    async def _stop(self, request: web.Request) -> web.Response:
        self._jobs.stop(request.match_info["job"])
        return answer({})

    async def _report(self, request: web.Request) -> web.StreamResponse:
        return report_of(self._folder(request.match_info["name"]), texts=session_of(request) is not None)

    def _folder(self, name: str) -> Path:
        try:
            return self._jobs.shelf.run_path(name)
        except OrderError as error:
            raise Refused(404, str(error)) from error


@asynccontextmanager
async def live_replays(
    feed: Feed, ops: OpsSettings, command: Sequence[str], kafka: KafkaSettings, veil: Veil
) -> AsyncIterator[Replaying]:
    """Yield replays that may be started as long as the block lasts; all are ended with it."""
    jobs = Jobs(ops, command, kafka)
    replaying = Replaying(feed, jobs, veil)
    following = asyncio.create_task(replaying.follow())
    try:
        yield replaying
    finally:
        following.cancel()
        await asyncio.to_thread(jobs.close)
        await asyncio.wait({following})

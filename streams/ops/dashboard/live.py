"""Lag, live: one watcher for all tabs, whose looks become the page's documents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
from aiohttp import web

from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.headline import headline
from streams.ops.dashboard.lag_history import LagHistory
from streams.ops.dashboard.lag_view import lag_document
from streams.ops.dashboard.ours import by_stages
from streams.ops.dashboard.web import Refused, answer
from streams.ops.lag.snapshot import Snapshot
from streams.ops.lag.watch import Watcher
from streams.ops.metrics.instruments import CONTENT_TYPE
from streams.ops.metrics.lag import STALE_SECONDS, LagMetrics
from streams.settings import KafkaSettings, OpsSettings
from streams.topology import AGENTS

_log = structlog.get_logger(__name__)
_SUMMED_LOOKS = 150
_PATIENCE_SECONDS = 1.0


class LiveLag:
    """Publishes what the watcher sees, and answers for what a document would be too large for."""

    def __init__(self, feed: Feed, watcher: Watcher, kafka: KafkaSettings, ops: OpsSettings) -> None:
        self._feed = feed
        self._watcher = watcher
        self._kafka = kafka
        self._every_seconds = ops.every_seconds
        self._history = LagHistory()
        self._metrics = LagMetrics(watcher.latest, max(STALE_SECONDS, 3 * ops.every_seconds))
        self._stages: Mapping[str, str] = {kafka.topic(agent.reads): agent.stage for agent in AGENTS}

    def add_routes(self, app: web.Application) -> None:
        """Add what is asked for by address: a group's history, and /metrics."""
        app.router.add_get("/api/lag/history", self._of_group)
        app.router.add_get("/metrics", self._scrape)

    async def follow(self) -> None:
        """Publish every new look until cancelled; between looks the headline grows older while Kafka is away."""
        seen: Snapshot | None = None
        self._publish_headline(None)
        while True:
            newer = await asyncio.to_thread(self._watcher.wait_newer, seen, _PATIENCE_SECONDS)
            seen = newer or seen
            try:
                if newer is not None:
                    self._publish(by_stages(newer, self._kafka.group, self._stages))
                elif seen is not None and seen.error is not None:
                    self._publish_headline(by_stages(seen, self._kafka.group, self._stages))
            except Exception:  # noqa: BLE001 - the next look may go better, and figures that stand still look like peace
                _log.exception("lag_not_published")

    def _publish(self, seen: Snapshot) -> None:
        self._feed.publish("clock", {"now": datetime.now(UTC).timestamp()})
        if seen.looks:
            self._history.add(seen)
            self._feed.publish("sums", self._history.sums(_SUMMED_LOOKS))
            self._feed.publish("events", self._history.events())
        self._feed.publish(
            "lag", lag_document(seen, self._kafka.group, self._kafka.bootstrap_servers, self._every_seconds)
        )
        self._publish_headline(seen)

    def _publish_headline(self, seen: Snapshot | None) -> None:
        kafka = self._kafka
        said = headline(seen, kafka.group, self._stages, datetime.now(UTC), kafka.bootstrap_servers)
        self._feed.publish("headline", said.document())

    async def _of_group(self, request: web.Request) -> web.Response:
        history = self._history.of_group(request.query.get("group", ""))
        if history is None:
            raise Refused(404, "no look has seen a group of that name")
        return answer(history)

    async def _scrape(self, request: web.Request) -> web.Response:
        del request
        text = await asyncio.to_thread(self._metrics.exposition)
        return web.Response(body=text, headers=CONTENT_TYPE)


@asynccontextmanager
async def live_lag(feed: Feed, kafka: KafkaSettings, ops: OpsSettings) -> AsyncIterator[LiveLag]:
    """Yield lag that is watched as long as the block lasts; raises BrokerAway for settings that no client takes."""
    watcher = Watcher.of(kafka, ops)
    lag = LiveLag(feed, watcher, kafka, ops)
    watcher.start()
    following = asyncio.create_task(lag.follow())
    try:
        yield lag
    finally:
        following.cancel()
        await asyncio.to_thread(watcher.close)
        await asyncio.wait({following})

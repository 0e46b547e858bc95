"""The page, served in a thread of the test's own: over what the test publishes, or over a Kafka that it holds back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import Self

from aiohttp import web
from confluent_kafka import Consumer, Message
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from streams.kafka.records import Place
from streams.ops.dashboard.assets import load_assets
from streams.ops.dashboard.beat import live_beat
from streams.ops.dashboard.events import Events
from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.guard import Guard
from streams.ops.dashboard.lag_history import LagHistory
from streams.ops.dashboard.lag_view import lag_document
from streams.ops.dashboard.live import live_lag
from streams.ops.dashboard.map_view import map_document
from streams.ops.dashboard.veil import Veil
from streams.ops.dashboard.web import answer, make_app
from streams.ops.lag.snapshot import Snapshot
from streams.settings import Settings


class Served:
    """A server of the page; what is published comes from `parts`."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.address = ""
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(30)

    @asynccontextmanager
    async def parts(self, app: web.Application) -> AsyncIterator[None]:
        """Publish for as long as the block lasts; routes are added to `app`."""
        del app
        yield

    def within(self, call: Callable[[], None]) -> None:
        """Call something where the server runs, and wait for it."""

        async def run() -> None:
            call()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        app = make_app(Guard(None, (), time.monotonic), load_assets())
        Events(self.feed, self._ended).add_routes(app)
        self.feed.publish("about", {"source": "live"})
        async with self.parts(app):
            runner = web.AppRunner(app, shutdown_timeout=1.0)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
            self._ready.set()
            await self._ended.wait()
            await runner.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class MadeUp(Served):
    """A server of looks that a test makes up, with their history."""

    def __init__(self) -> None:
        self.history = LagHistory()
        super().__init__()

    @asynccontextmanager
    async def parts(self, app: web.Application) -> AsyncIterator[None]:
        async def of_group(request: web.Request) -> web.Response:
            return answer(self.history.of_group(request.query["group"]))

        app.router.add_get("/api/lag/history", of_group)
        yield

    def show(self, snapshot: Snapshot, ours: str) -> None:
        """Publish a look, where the server runs."""
        self.history.add(snapshot)
        self.feed.publish("lag", lag_document(snapshot, ours, "nowhere", 2.0))
        self.feed.publish("sums", self.history.sums(150))


class Watching(Served):
    """What `scenestream dashboard` watches, for a test that has put gates before its clients."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    @asynccontextmanager
    async def parts(self, app: web.Application) -> AsyncIterator[None]:
        settings = self._settings
        self.feed.publish("topology", map_document(settings.kafka.topic))
        async with (
            live_lag(self.feed, settings.kafka, settings.ops) as lag,
            live_beat(self.feed, settings, Veil(b"a salt of a test")) as beat,
        ):
            lag.add_routes(app)
            beat.add_routes(app)
            yield


class Turnstile:
    """Calls wait here until they are let through, one by one."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[None] = SimpleQueue()
        self._room = threading.Semaphore(0)
        self._opened = False

    def wait(self) -> None:
        if not self._opened:
            self._waiting.put(None)
            self._room.acquire()

    def until_one_waits(self) -> float:
        """Return the monotonic time by which one did."""
        self._waiting.get(timeout=60)
        return time.monotonic()

    def let_one_through(self) -> float:
        """Return the monotonic time until which it waited."""
        at = time.monotonic()
        self._room.release()
        return at

    def open(self) -> None:
        self._opened = True
        self._room.release()


def admin_behind(turnstile: Turnstile) -> type[AdminClient]:
    """Return a client that waits before the first thing that a look asks for, and before the last."""

    class Behind(AdminClient):
        def list_topics(self, timeout: float) -> object:
            turnstile.wait()
            return super().list_topics(timeout=timeout)

        def describe_configs(self, resources: list[ConfigResource], request_timeout: float) -> object:
            turnstile.wait()
            return super().describe_configs(resources, request_timeout=request_timeout)

    return Behind


class Rationed:
    """A consumer that gives no more records than it is told; `given` is what lies behind the last one, by partition."""

    def __init__(self, consumer: Consumer, records: int) -> None:
        self._consumer = consumer
        self.records = records
        self.given: dict[Place, int] = {}

    def consume(self, most: int, seconds: float) -> list[Message]:
        if not self.records:
            time.sleep(seconds)
            return []
        found = self._consumer.consume(min(most, self.records), seconds)
        for one in found:
            # What is no record is the news of an end, which lies before the next one.
            self.given[Place(one.topic() or "", one.partition() or 0)] = (one.offset() or 0) + (one.error() is None)
        self.records -= sum(one.error() is None for one in found)
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._consumer, name)

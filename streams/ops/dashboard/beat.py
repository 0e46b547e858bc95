"""The pulse, live: one tail of the topics for all tabs, and dialogues followed through it."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from streams.kafka.clients import BrokerAway
from streams.ops.dashboard.feed import Feed, to_json
from streams.ops.dashboard.web import Refused, answer_model, session_of
from streams.ops.follow.dialogue import Dialogue, ScanProgress
from streams.ops.follow.scan import scan
from streams.ops.pulse.pulse import ReasonCount
from streams.ops.tail import Tail
from streams.settings import Settings

_log = structlog.get_logger(__name__)
LATEST = 24
# What "now" means for rates and failures: short enough to see a change, long enough to be a rate.
NOW_SECONDS = 60.0
_LONGEST_ID = 512


class LiveBeat:
    """Publishes the pulse, and answers for one dialogue."""

    def __init__(self, feed: Feed, tail: Tail, settings: Settings) -> None:
        self._feed = feed
        self._tail = tail
        self._settings = settings
        self.dead_seen: tuple[ReasonCount, ...] = ()
        # A search reads whole partitions: one at a time.
        self._searching = asyncio.Lock()

    def add_routes(self, app: web.Application) -> None:
        """Add what is asked for by address: a dialogue out of memory, and one looked for on its topics."""
        app.router.add_get("/api/dialogue", self._dialogue)
        app.router.add_get("/api/dialogue/scan", self._scan)

    async def follow(self) -> None:
        """Publish the pulse every so often, until cancelled."""
        while True:
            try:
                await self._publish()
            except Exception:  # noqa: BLE001 - the next may go better, and figures that stand still look like peace
                _log.exception("pulse_not_published")
            await asyncio.sleep(self._settings.dashboard.every_seconds)

    async def _publish(self) -> None:
        pulse = await asyncio.to_thread(self._tail.pulse)
        self.dead_seen = pulse.dead
        self._feed.publish("pulse", pulse)
        self._feed.publish("now", await asyncio.to_thread(self._tail.pulse, NOW_SECONDS))
        self._feed.publish("tail", self._tail.state())
        latest = [{"id": name, "records": count, "at": at} for name, count, at in self._tail.latest(LATEST)]
        self._feed.publish("latest", {"dialogues": latest})

    async def _dialogue(self, request: web.Request) -> web.Response:
        who = wanted(request)
        texts = wants_texts(request)
        return answer_model(await asyncio.to_thread(self._tail.recent, **who, texts=texts))

    async def _scan(self, request: web.Request) -> web.StreamResponse:
        who, texts = wanted(request), wants_texts(request)
        if self._searching.locked():
            raise Refused(429, "another search is under way; wait for it or stop it")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        async with self._searching:
            await response.prepare(request)
            found: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
            stopped = threading.Event()
            search = asyncio.create_task(
                asyncio.to_thread(self._search, who, texts, found, stopped, asyncio.get_running_loop())
            )
            try:
                while (said := await found.get()) is not None:
                    await response.write(b"event: %b\ndata: %b\n\n" % (said[0].encode(), said[1]))
            except ConnectionResetError:
                pass
            finally:
                stopped.set()
                await asyncio.wait({search})
        return response

    def _search(
        self,
        who: dict[str, str],
        texts: bool,  # noqa: FBT001 - handed on
        found: asyncio.Queue[tuple[str, bytes] | None],
        stopped: threading.Event,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        def tell(name: str, said: bytes) -> None:
            loop.call_soon_threadsafe(found.put_nowait, (name, said))

        settings = self._settings
        try:
            for one in scan(settings.kafka, settings.ops, settings.gate, **who, texts=texts):
                if stopped.is_set():
                    return
                if isinstance(one, ScanProgress | Dialogue):
                    tell("progress" if isinstance(one, ScanProgress) else "dialogue", one.model_dump_json().encode())
        except BrokerAway as error:
            tell("failed", to_json({"error": str(error)}))
        finally:
            loop.call_soon_threadsafe(found.put_nowait, None)


def wanted(request: web.Request) -> dict[str, str]:
    """Return whom a request is about, {"dialogue": id} or {"user": id}; raises Refused where it does not say."""
    for name in ("dialogue", "user"):
        who = request.query.get(name, "")
        if 0 < len(who) <= _LONGEST_ID:
            return {name: who}
    raise Refused(400, f"name a dialogue or a user, in at most {_LONGEST_ID} characters")


def wants_texts(request: web.Request) -> bool:
    """Return whether words may be shown: asked for, by somebody who has signed in; raises Refused for others."""
    if request.query.get("texts") != "1":
        return False
    if session_of(request) is None:
        raise Refused(401, "sign in to see texts")
    return True


@asynccontextmanager
async def live_beat(feed: Feed, settings: Settings) -> AsyncIterator[LiveBeat]:
    """Yield a pulse that is followed as long as the block lasts."""
    tail = Tail(settings.kafka, settings.gate, settings.ops, secrets.token_bytes(16))
    tail.start()
    beat = LiveBeat(feed, tail, settings)
    following = asyncio.create_task(beat.follow())
    try:
        yield beat
    finally:
        following.cancel()
        await asyncio.to_thread(tail.close)
        await asyncio.wait({following})

"""The pulse, live: one tail of the topics for all tabs, and dialogues followed through it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from aiohttp import web

from streams.kafka.clients import BrokerAway
from streams.ops.dashboard.events import begin, send
from streams.ops.dashboard.feed import Feed, to_json
from streams.ops.dashboard.veil import By, Veil
from streams.ops.dashboard.web import Refused, answer, answer_model, can_sign_in, session_of
from streams.ops.follow.dialogue import Dialogue
from streams.ops.follow.scan import scan
from streams.ops.pulse.pulse import ReasonCount
from streams.ops.tail import Tail
from streams.settings import Settings

_log = structlog.get_logger(__name__)
LATEST = 24
# What "now" means for rates and failures: short enough to see a change, long enough to be a rate.
NOW_SECONDS = 60.0
_LONGEST_ID = 512
# A search reads whole partitions.
_MOST_SEARCHES = 3
_AGAIN_SECONDS = 5


class LiveBeat:
    """Publishes the pulse, and answers for one dialogue."""

    def __init__(self, feed: Feed, tail: Tail, settings: Settings, veil: Veil) -> None:
        self._feed = feed
        self._tail = tail
        self._settings = settings
        self._veil = veil
        self.dead_seen: tuple[ReasonCount, ...] = ()
        self._searches: set[asyncio.Task[None]] = set()

    def add_routes(self, app: web.Application) -> None:
        """Add what is asked for by address: a dialogue out of memory, one looked for on its topics, the latest."""
        app.router.add_get("/api/dialogue", self._dialogue)
        app.router.add_get("/api/dialogue/scan", self._scan, allow_head=False)
        app.router.add_get("/api/latest", self._named)

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
        self._feed.publish("latest", self._latest(self._veil))

    def _latest(self, veil: Veil | None) -> dict[str, object]:
        found = self._tail.latest(LATEST)
        return {
            "dialogues": [
                {"id": name if veil is None else veil.listed("dialogue", name), "records": count, "at": at}
                for name, count, at in found
            ]
        }

    async def _named(self, request: web.Request) -> web.Response:
        return answer(self._latest(None if wants_texts(request) else self._veil))

    async def _dialogue(self, request: web.Request) -> web.Response:
        who, texts = wanted(request, self._veil), wants_texts(request)
        found = await asyncio.to_thread(self._tail.recent, **who, texts=texts)
        return answer_model(found if texts else self._veil.over(found))

    async def _scan(self, request: web.Request) -> web.StreamResponse:
        who, texts = wanted(request, self._veil), wants_texts(request)
        if len(self._searches) >= _MOST_SEARCHES:
            raise Refused(429, f"{_MOST_SEARCHES} searches are under way; try again in a moment", _AGAIN_SECONDS)
        found: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        stopped = threading.Event()
        # A search has its place for as long as it reads; whoever is slow to hear of it keeps nobody waiting.
        search = asyncio.create_task(
            asyncio.to_thread(self._search, who, texts, found, stopped, asyncio.get_running_loop())
        )
        self._searches.add(search)
        search.add_done_callback(self._searches.discard)
        try:
            response = await begin(request)
            with suppress(ConnectionResetError):
                while (said := await found.get()) is not None:
                    await send(request, response, b"event: %b\ndata: %b\n\n" % (said[0].encode(), said[1]))
        finally:
            stopped.set()
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
                if isinstance(one, Dialogue):
                    tell("dialogue", (one if texts else self._veil.over(one)).model_dump_json().encode())
                else:
                    tell("progress", one.model_dump_json().encode())
        except BrokerAway as error:
            tell("failed", to_json({"error": str(error)}))
        except Exception:  # noqa: BLE001 - whoever waits must hear something, and not what went wrong within
            _log.exception("search_failed")
            tell("failed", to_json({"error": "the search failed; the dashboard's log says how"}))
        finally:
            loop.call_soon_threadsafe(found.put_nowait, None)


def wanted(request: web.Request, veil: Veil | None) -> dict[str, str]:
    """Return whom a request is about, {"dialogue": id} or {"user": id}; raises Refused where it does not say.

    Behind a veil ids are asked for by their masks, and as they are only by those who have signed in: an answer would
    tell anybody whose mask it is.
    """
    ways: tuple[By, ...] = ("dialogue", "user")
    for by in ways:
        who = request.query.get(by, "")
        if 0 < len(who) <= _LONGEST_ID:
            known = who if veil is None else veil.behind(by, who)
            if known is None and session_of(request) is None:
                how = "sign in" if can_sign_in(request) else "start the dashboard with SCENESTREAM_DASHBOARD__TOKEN"
                raise Refused(401, f"{how} to follow an id; without that, what the page lists can be followed")
            return {by: known or who}
    raise Refused(400, f"name a dialogue or a user, in at most {_LONGEST_ID} characters")


def wants_texts(request: web.Request) -> bool:
    """Return whether words may be shown: asked for, by somebody who has signed in; raises Refused for others."""
    if request.query.get("texts") != "1":
        return False
    if session_of(request) is None:
        raise Refused(401, "sign in to see texts")
    return True


@asynccontextmanager
async def live_beat(feed: Feed, settings: Settings, veil: Veil) -> AsyncIterator[LiveBeat]:
    """Yield a pulse that is followed as long as the block lasts."""
    tail = Tail(settings.kafka, settings.gate, settings.ops, veil.salt)
    tail.start()
    beat = LiveBeat(feed, tail, settings, veil)
    following = asyncio.create_task(beat.follow())
    try:
        yield beat
    finally:
        following.cancel()
        await asyncio.to_thread(tail.close)
        await asyncio.wait({following})

"""Dead letters, live: read again when some more died, and sent back for those who may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
from aiohttp import web
from aiokafka.errors import KafkaError

from schemas.base import Frozen
from streams.kafka.clients import BrokerAway
from streams.kafka.redrive import RedriveError
from streams.ops.dashboard.beat import wants_texts
from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.veil import Veil
from streams.ops.dashboard.web import Refused, answer_model, body_of
from streams.ops.graves import graveyard, redrive_group
from streams.ops.letters import Graveyard, GroupName
from streams.settings import KafkaSettings

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 2.0
# Letters that somebody else sent back, or that Kafka deleted, show in no count of ours.
_ANYWAY_SECONDS = 60.0


class Redrive(Frozen):
    """Which letters to send back, and whether only to say so."""

    name: GroupName
    dry_run: bool = True


class LiveLetters:
    """Publishes the open letters by group; `dead_seen` changes when more have died."""

    def __init__(self, feed: Feed, kafka: KafkaSettings, dead_seen: Callable[[], object], veil: Veil) -> None:
        self._feed = feed
        self._veil = veil
        self._kafka = kafka
        self._dead_seen = dead_seen
        self._changed = asyncio.Event()
        # Whoever comes second would end the first one's transaction.
        self._sending = asyncio.Lock()
        self._reading = asyncio.Lock()
        # Looks that are asked for and did not begin yet, by whether they show words; and all that did not end.
        self._asked: dict[bool, asyncio.Task[Graveyard]] = {}
        self._looks: set[asyncio.Task[Graveyard]] = set()

    def add_routes(self, app: web.Application) -> None:
        """Add letters with their words, and sending back."""
        app.router.add_get("/api/letters", self._letters)
        app.router.add_post("/api/letters/redrive", self._redrive)

    async def follow(self) -> None:
        """Publish the letters whenever there may be others, until cancelled."""
        seen: object = None
        looked = float("-inf")
        while True:
            now = self._dead_seen()
            if now != seen or self._changed.is_set() or time.monotonic() - looked > _ANYWAY_SECONDS:
                self._changed.clear()
                try:
                    self._feed.publish("letters", await self.look(texts=False))
                    seen, looked = now, time.monotonic()
                except BrokerAway:
                    pass
                except Exception:  # noqa: BLE001 - the next look may go better, and the rest of the page must live
                    _log.exception("letters_unread")
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def look(self, *, texts: bool) -> Graveyard:
        """Return the letters as they are after this was asked; who asks while another look runs shares the next."""
        asked = self._asked.get(texts)
        if asked is None:
            asked = self._asked[texts] = asyncio.create_task(self._look(texts=texts))
            self._looks.add(asked)
            asked.add_done_callback(self._looks.discard)
        # Who goes away takes nothing from the others.
        return await asyncio.shield(asked)

    async def end(self) -> None:
        """Give up what is being read."""
        looks = set(self._looks)
        for one in looks:
            one.cancel()
        if looks:
            await asyncio.wait(looks)

    async def _look(self, *, texts: bool) -> Graveyard:
        async with self._reading:
            del self._asked[texts]
            name = None if texts else self._veil.name
            return await graveyard(self._kafka, datetime.now(UTC), texts=texts, name=name)

    async def _letters(self, request: web.Request) -> web.Response:
        texts = wants_texts(request)
        try:
            return answer_model(await self.look(texts=texts))
        except BrokerAway as error:
            raise Refused(503, str(error)) from error

    async def _redrive(self, request: web.Request) -> web.Response:
        asked = await body_of(request, Redrive)
        async with self._sending:
            try:
                report = await redrive_group(self._kafka, asked.name, dry_run=asked.dry_run)
            except BrokerAway as error:
                raise Refused(503, str(error)) from error
            except RedriveError as error:
                raise Refused(409, str(error)) from error
            except KafkaError as error:
                raise Refused(502, f"Kafka refuses it: {error}") from error
        if not asked.dry_run:
            _log.warning("redriven", **asked.name.model_dump(), sent_back=report.sent_back)
            self._changed.set()
        return answer_model(report)


@asynccontextmanager
async def live_letters(
    feed: Feed, kafka: KafkaSettings, dead_seen: Callable[[], object], veil: Veil
) -> AsyncIterator[LiveLetters]:
    """Yield letters that are followed as long as the block lasts."""
    letters = LiveLetters(feed, kafka, dead_seen, veil)
    following = asyncio.create_task(letters.follow())
    try:
        yield letters
    finally:
        following.cancel()
        await asyncio.wait({following})
        await letters.end()

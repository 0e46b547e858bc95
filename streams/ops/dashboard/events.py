"""Streams of server-sent events: so many at once, and none kept open for a reader that does not read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog
from aiohttp import web

from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.web import Refused, client_of

_log = structlog.get_logger(__name__)
_RETRY_MS = 2000
# The tabs of a browser share a stream; a network may share an address.
MOST_STREAMS = 128
MOST_OF_AN_ADDRESS = 32
# A reader that takes nothing for so long holds memory here, and a place that others want.
STALLED_SECONDS = 20.0
_AGAIN_SECONDS = 15


class Events:
    """Answers with what the feed publishes, until a tab is closed or the server ends."""

    def __init__(self, feed: Feed, ended: asyncio.Event, most: int = MOST_STREAMS) -> None:
        self._feed = feed
        self._ended = ended
        self._most = most
        self._open: Counter[str] = Counter()

    def add_routes(self, app: web.Application) -> None:
        """Add the stream that the page lives on."""
        app.router.add_get("/api/events", self.answer, allow_head=False)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Stream; raises Refused where too many do already."""
        client = client_of(request)
        if self._open.total() >= self._most or self._open[client] >= MOST_OF_AN_ADDRESS:
            raise Refused(503, "too many pages are open at this dashboard; close some", _AGAIN_SECONDS)
        self._open[client] += 1
        try:
            return await self._stream(request)
        finally:
            self._open[client] -= 1
            self._open += Counter()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        telling = asyncio.create_task(self._tell(request, response))
        ending = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({telling, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
            ending.cancel()
            await asyncio.wait({telling, ending})
        return response

    async def _tell(self, request: web.Request, response: web.StreamResponse) -> None:
        with suppress(ConnectionResetError):
            await send(request, response, f"retry: {_RETRY_MS}\n\n".encode())
            async for said in _spoken(self._feed):
                await send(request, response, said)


async def begin(request: web.Request) -> web.StreamResponse:
    """Return a stream of events that has begun."""
    # A proxy that gathers answers would hold them back.
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    return response


async def send(request: web.Request, response: web.StreamResponse, said: bytes) -> None:
    """Send; raises ConnectionResetError where nobody reads any more, also one who only forgets to."""
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            await response.write(said)
    except TimeoutError as error:
        _log.warning("stream_stalled", remote=request.remote)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError from error


async def _spoken(feed: Feed) -> AsyncIterator[bytes]:
    async for found in feed.changes():
        parts = [b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), at, said) for at, name, said in found]
        yield b"".join(parts) or b": still here\n\n"

"""The dashboard's frame, asked as a browser or an attacker would."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import ExitStack, asynccontextmanager
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, CookieJar, web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from yarl import URL

from schemas.base import Frozen
from streams.ops.dashboard import events
from streams.ops.dashboard.assets import load_assets
from streams.ops.dashboard.events import Events
from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.guard import Guard, Network
from streams.ops.dashboard.web import MOST_BODY_BYTES, answer, body_of, make_app

TOKEN = "a token of sufficient length"  # noqa: S105 - a test's


class Wish(Frozen):
    count: int


async def _change(request: web.Request) -> web.Response:
    return answer({"count": (await body_of(request, Wish)).count})


async def _fail(request: web.Request) -> web.Response:
    raise ZeroDivisionError(request.path)


class Visitor:
    def __init__(self, http: ClientSession, address: URL, feed: Feed) -> None:
        self.http = http
        self.address = address
        self.feed = feed
        self.origin = {"Origin": str(address.origin())}

    async def sign_in(self) -> dict[str, str]:
        async with self.http.post(self.address / "api/session", json={"token": TOKEN}, headers=self.origin) as answered:
            assert answered.status == 200
            return {**self.origin, "X-CSRF-Token": (await answered.json())["csrf"]}

    async def status(self, method: str, path: str, **more: object) -> int:
        async with self.http.request(method, self.address.join(URL(path)), **more) as answered:
            assert answered.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
            assert answered.headers["X-Content-Type-Options"] == "nosniff"
            assert "error" in await answered.json() or answered.status < 400
            return answered.status


@asynccontextmanager
async def visited(token: str | None = TOKEN, proxies: Collection[Network] = ()) -> AsyncIterator[Visitor]:
    feed, ended = Feed(), asyncio.Event()
    app = make_app(Guard(None if token is None else SecretStr(token), (), lambda: 0.0, proxies), load_assets())
    Events(feed, ended, most=2).add_routes(app)
    app.router.add_post("/api/change", _change)
    app.router.add_get("/api/fail", _fail)
    async with TestServer(app) as server, ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
        yield Visitor(http, server.make_url("/"), feed)
        ended.set()


def ask(
    question: Callable[[Visitor], Awaitable[None]], token: str | None = TOKEN, proxies: Collection[Network] = ()
) -> None:
    async def run() -> None:
        async with visited(token, proxies) as visitor:
            await question(visitor)

    asyncio.run(run())


def test_the_page_has_strict_headers_and_nothing_inline() -> None:
    async def question(visitor: Visitor) -> None:
        async with visitor.http.get(visitor.address) as answered:
            page = await answered.text()
            assert answered.headers["Cache-Control"] == "no-store"
            assert answered.headers["Referrer-Policy"] == "no-referrer"
            policy = answered.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in re.findall(r"script-src[^;]*", policy)[0]
        assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|javascript:|https?://", page)
        for path in re.findall(r'(?:src|href)="(/assets/[^"]+)"', page):
            async with visitor.http.get(visitor.address.join(URL(path))) as file:
                assert file.status == 200
                assert "immutable" in file.headers["Cache-Control"]

    ask(question)


def test_no_file_of_the_page_asks_another_host() -> None:
    for name, asset in load_assets().files.items():
        if name != "plotly.min.js":
            found = set(re.findall(rb"https?://[\w.]+", asset.body))
            assert found <= {b"http://www.w3.org"}, name
            assert gzip.decompress(asset.packed) == asset.body


def test_files_are_sent_packed_to_those_who_can_unpack() -> None:
    async def question(visitor: Visitor) -> None:
        path = f"/assets/{load_assets().digest}/plotly.min.js"
        async with visitor.http.get(visitor.address.join(URL(path))) as packed:
            assert packed.headers["Content-Encoding"] == "gzip"
            assert int(packed.headers["Content-Length"]) < 2_000_000
        assert await visitor.status("GET", "/assets/old/main.js") == 404
        assert await visitor.status("GET", f"/assets/{load_assets().digest}/..%2Fweb.py") == 404

    ask(question)


def test_another_name_is_not_answered_whatever_is_asked() -> None:
    async def question(visitor: Visitor) -> None:
        for path in ("/", "/api/session", "/api/events", "/assets/x/main.js"):
            assert await visitor.status("GET", path, headers={"Host": "evil.example"}) == 421

    ask(question)


def test_changes_need_origin_session_and_csrf() -> None:
    async def question(visitor: Visitor) -> None:
        wish = {"json": {"count": 3}}
        assert await visitor.status("POST", "/api/change", **wish) == 403
        assert await visitor.status("POST", "/api/change", headers=visitor.origin, **wish) == 401
        headers = await visitor.sign_in()
        assert await visitor.status("POST", "/api/change", headers=visitor.origin, **wish) == 403
        wrong = {**headers, "X-CSRF-Token": "x"}
        assert await visitor.status("POST", "/api/change", headers=wrong, **wish) == 403
        foreign = {**headers, "Origin": "http://evil.example"}
        assert await visitor.status("POST", "/api/change", headers=foreign, **wish) == 403
        assert await visitor.status("POST", "/api/change", headers=headers, **wish) == 200
        assert await visitor.status("DELETE", "/api/session", headers=headers) == 200
        assert await visitor.status("POST", "/api/change", headers=headers, **wish) == 401

    ask(question)


def test_the_cookie_is_for_this_page_alone() -> None:
    async def question(visitor: Visitor) -> None:
        async with visitor.http.post(
            visitor.address / "api/session", json={"token": TOKEN}, headers=visitor.origin
        ) as answered:
            cookie = answered.headers["Set-Cookie"]
            assert TOKEN not in cookie + await answered.text()
        assert f"scenestream-{visitor.address.port}=" in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie

    ask(question)


def test_wrong_tokens_are_refused_and_then_slowed_down() -> None:
    async def question(visitor: Visitor) -> None:
        for _ in range(5):
            assert await visitor.status("POST", "/api/session", json={"token": "x"}, headers=visitor.origin) == 401
        async with visitor.http.post(
            visitor.address / "api/session", json={"token": TOKEN}, headers=visitor.origin
        ) as answered:
            assert answered.status == 429
            assert int(answered.headers["Retry-After"]) > 0

    ask(question)


def test_behind_a_trusted_proxy_each_pays_for_their_own_tries() -> None:
    async def question(visitor: Visitor) -> None:
        async def sign_in(token: str, forwarded: str) -> int:
            headers = {**visitor.origin, "X-Forwarded-For": forwarded}
            return await visitor.status("POST", "/api/session", json={"token": token}, headers=headers)

        for _ in range(5):
            assert await sign_in("x", "10.0.0.1, 203.0.113.9") == 401
        # Whoever guesses may write what they like before their own address.
        assert await sign_in(TOKEN, "10.0.0.2, 203.0.113.9") == 429
        headers = {**visitor.origin, "X-Forwarded-For": "203.0.113.8", "X-Forwarded-Proto": "https"}
        async with visitor.http.post(
            visitor.address / "api/session", json={"token": TOKEN}, headers=headers
        ) as answered:
            assert answered.status == 200
            assert "Secure" in answered.headers["Set-Cookie"]

    ask(question, proxies=(ip_network("127.0.0.0/8"),))


def test_nobody_is_believed_who_is_no_trusted_proxy() -> None:
    async def question(visitor: Visitor) -> None:
        for number in range(6):
            headers = {**visitor.origin, "X-Forwarded-For": f"203.0.113.{number}"}
            status = await visitor.status("POST", "/api/session", json={"token": "x"}, headers=headers)
            assert status == (401 if number < 5 else 429)

    ask(question)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_cannot_make_it_work(site: str) -> None:
    async def question(visitor: Visitor) -> None:
        for path in ("/api/session", "/api/events"):
            assert await visitor.status("GET", path, headers={"Sec-Fetch-Site": site}) == 403
        assert await visitor.status("GET", "/api/session", headers={"Sec-Fetch-Site": "same-origin"}) == 200

    ask(question)


def test_too_many_streams_are_told_when_to_come_back() -> None:
    async def question(visitor: Visitor) -> None:
        visitor.feed.publish("lag", {"n": 1})
        address = visitor.address / "api/events"
        async with visitor.http.get(address) as one:
            assert await _next(one) == ("lag", {"n": 1})
            async with visitor.http.get(address) as two, visitor.http.get(address) as three:
                assert (two.status, three.status) == (200, 503)
                assert int(three.headers["Retry-After"]) > 0
                assert "too many pages" in (await three.json())["error"]
        async with visitor.http.head(address) as head:
            assert head.status == 405

    ask(question)


def test_who_does_not_read_loses_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STALLED_SECONDS", 0.05)
    told: list[str] = []
    monkeypatch.setattr(events, "_log", SimpleNamespace(warning=lambda name, **_: told.append(name)))

    async def question(visitor: Visitor) -> None:
        visitor.feed.publish("lag", {"n": "x" * 2**24})
        asked = b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with ExitStack() as stalled:
            for _ in range(2):
                one = stalled.enter_context(socket.create_connection(("127.0.0.1", visitor.address.port or 0)))
                one.sendall(asked)
            async with asyncio.timeout(30):
                while len(told) < 2 or await _streams(visitor) != 200:  # noqa: ASYNC110 - there is no event of it here
                    await asyncio.sleep(0.02)

    ask(question)


def test_without_a_token_it_is_read_only() -> None:
    async def question(visitor: Visitor) -> None:
        assert await visitor.status("POST", "/api/session", json={"token": ""}, headers=visitor.origin) == 403
        assert await visitor.status("POST", "/api/change", json={"count": 1}, headers=visitor.origin) == 403
        async with visitor.http.get(visitor.address / "api/session") as answered:
            assert await answered.json() == {"can_sign_in": False, "signed_in": False, "csrf": None}

    ask(question, token=None)


def test_what_cannot_be_understood_is_told_in_a_sentence() -> None:
    async def question(visitor: Visitor) -> None:
        headers = await visitor.sign_in()
        assert await visitor.status("POST", "/api/change", headers=headers, json={"count": "many"}) == 400
        assert await visitor.status("POST", "/api/change", headers=headers, json={"count": 1, "more": 2}) == 400
        assert await visitor.status("POST", "/api/change", headers=headers, data=b"count=1") == 415
        large = b'{"count": 1' + b" " * MOST_BODY_BYTES + b"}"
        typed = {**headers, "Content-Type": "application/json"}
        assert await visitor.status("POST", "/api/change", headers=typed, data=large) == 413
        assert await visitor.status("PUT", "/api/change", headers=headers) == 405
        assert await visitor.status("GET", "/nothing") == 404
        assert await visitor.status("GET", "/api/fail") == 500

    ask(question)


def test_a_tab_gets_what_stands_and_then_what_is_new_and_never_the_same_twice() -> None:
    async def question(visitor: Visitor) -> None:
        visitor.feed.publish("lag", {"n": 1})
        async with (
            visitor.http.get(visitor.address / "api/events") as one,
            visitor.http.get(visitor.address / "api/events") as two,
        ):
            for tab in (one, two):
                assert await _next(tab) == ("lag", {"n": 1})
            visitor.feed.publish("lag", {"n": 1})
            visitor.feed.publish("lag", {"n": 2})
            for tab in (one, two):
                assert await _next(tab) == ("lag", {"n": 2})

    ask(question)


def test_a_slow_tab_misses_versions_but_never_the_last() -> None:
    async def run() -> None:
        feed = Feed()
        changes = feed.changes()
        for number in range(1000):
            feed.publish("lag", {"n": number})
            feed.publish("pulse", {"n": -number})
        found = await anext(changes)
        assert [(name, json.loads(said)["n"]) for _, name, said in found] == [("lag", 999), ("pulse", -999)]
        await changes.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())


def test_no_document_holds_what_json_cannot_say() -> None:
    async def run() -> None:
        with pytest.raises(ValueError, match="JSON"):
            Feed().publish("lag", {"n": float("inf")})

    asyncio.run(run())


async def _streams(visitor: Visitor) -> int:
    async with visitor.http.get(visitor.address / "api/events") as answered:
        return answered.status


async def _next(tab: ClientResponse) -> tuple[str, Any]:
    name = ""
    async with asyncio.timeout(5):
        async for line in tab.content:
            if line.startswith(b"event: "):
                name = line[7:].strip().decode()
            elif line.startswith(b"data: "):
                return name, json.loads(line[6:])
    raise AssertionError("the stream ended")

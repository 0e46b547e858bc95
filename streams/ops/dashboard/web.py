"""The web application's frame: strict headers, names it answers to, signing in, and the page's files."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiohttp import web
from pydantic import BaseModel, ValidationError

from schemas.base import Frozen
from streams.ops.dashboard.assets import Assets
from streams.ops.dashboard.feed import to_json
from streams.ops.dashboard.guard import Guard, Session, TooManyTries, may_change

_log = structlog.get_logger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Body = TypeVar("Body", bound=BaseModel)

MOST_BODY_BYTES = 64 * 1024
CSRF_HEADER = "X-CSRF-Token"
_SESSION = "/api/session"
# What browsers say of a request by our own page, or by a person.
_OWN_SITES = frozenset({"same-origin", "none"})
_SAID = {404: "there is nothing here", 405: "that cannot be done here", 413: "that is too large to be taken"}
_GUARD: web.AppKey[Guard] = web.AppKey("guard", Guard)
_ASSETS: web.AppKey[Assets] = web.AppKey("assets", Assets)

# No address but our own, nothing inline. plotly.js puts up a style element of its own, which only styles may do.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class SignIn(Frozen):
    """What signing in brings."""

    token: str


class Refused(Exception):  # noqa: N818 - what it is, not that it is an error
    """A request that is not granted: the status and the sentence that the page shows, and when to ask again."""

    def __init__(self, status: int, message: str, again_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {} if again_seconds is None else {"Retry-After": str(math.ceil(again_seconds))}


def make_app(guard: Guard, assets: Assets) -> web.Application:
    """Return an application that serves the page and its files and lets people sign in; views are added to it."""
    app = web.Application(middlewares=[_spoken, _guarded], client_max_size=MOST_BODY_BYTES)
    app[_GUARD], app[_ASSETS] = guard, assets
    app.on_response_prepare.append(_put_headers)
    app.router.add_get("/", _page)
    app.router.add_get("/assets/{digest}/{name}", _asset)
    app.router.add_get(_SESSION, _session)
    app.router.add_post(_SESSION, _sign_in)
    app.router.add_delete(_SESSION, _sign_out)
    return app


def session_of(request: web.Request) -> Session | None:
    """Return who asks; None for everybody who has not signed in."""
    return request.app[_GUARD].session(request.cookies.get(_cookie(request)))


def can_sign_in(request: web.Request) -> bool:
    """Return whether anybody can: without a token nobody does."""
    return request.app[_GUARD].opens


def client_of(request: web.Request) -> str:
    """Return the address that asks: what a trusted proxy says of whom it speaks for, else the peer's own."""
    return request.app[_GUARD].client(request.remote or "", ",".join(request.headers.getall("X-Forwarded-For", [])))


def answer(document: object, status: int = 200) -> web.Response:
    """Return a document as JSON."""
    return web.Response(body=to_json(document), status=status, content_type="application/json", charset="utf-8")


def answer_model(document: BaseModel) -> web.Response:
    """Return a value as JSON."""
    return web.Response(text=document.model_dump_json(), content_type="application/json")


async def body_of(request: web.Request, kind: type[Body]) -> Body:
    """Return the body of a request; raises Refused where it is not one of `kind`."""
    if request.content_type != "application/json":
        raise Refused(415, "say it in JSON")
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as error:
        what = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in what["loc"])
        raise Refused(400, f"{where}: {what['msg']}" if where else what["msg"]) from error


async def _put_headers(request: web.Request, response: web.StreamResponse) -> None:
    del request
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Server"] = "scenestream"


@web.middleware
async def _spoken(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell every failure as a sentence in JSON; what nobody foresaw is logged, not shown."""
    try:
        return await handler(request)
    except Refused as refused:
        told = answer({"error": str(refused)}, refused.status)
        told.headers.update(refused.headers)
        return told
    except web.HTTPException as error:
        told = answer({"error": _SAID.get(error.status, error.reason)}, error.status)
        if "Allow" in error.headers:
            told.headers["Allow"] = error.headers["Allow"]
        return told
    except Exception:  # noqa: BLE001 - a page must hear something, and not what went wrong within
        _log.exception("request_failed", path=request.path)
        return answer({"error": "the dashboard failed at this; its log says how"}, 500)


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer to our own names only, and let only our own page, signed in, change anything."""
    guard = request.app[_GUARD]
    host = request.headers.get("Host")
    if not guard.answers_to(host):
        raise Refused(421, "this dashboard does not answer to that name; set SCENESTREAM_DASHBOARD__NAMES to allow it")
    if request.path.startswith("/api/") and request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES:
        # Another page may ask and not read the answer; a search or a stream costs us all the same.
        raise Refused(403, "only this dashboard's own page may ask for that")
    if request.method not in {"GET", "HEAD"}:
        if not guard.is_own(request.headers.get("Origin"), host):
            raise Refused(403, "only this dashboard's own page may ask for that")
        if not (request.method == "POST" and request.path == _SESSION):
            may_ask(request)
    return await handler(request)


def may_ask(request: web.Request) -> Session:
    """Return who asks for a change; raises Refused for those who have not signed in, or another page of theirs."""
    if not request.app[_GUARD].opens:
        raise Refused(403, "this dashboard is read-only: start it with SCENESTREAM_DASHBOARD__TOKEN to change things")
    session = session_of(request)
    if session is None:
        raise Refused(401, "sign in first")
    if not may_change(session, request.headers.get(CSRF_HEADER)):
        raise Refused(403, "the page is out of date; load it again")
    return session


async def _page(request: web.Request) -> web.Response:
    return web.Response(body=request.app[_ASSETS].page, content_type="text/html", charset="utf-8")


async def _asset(request: web.Request) -> web.Response:
    assets = request.app[_ASSETS]
    asset = assets.files.get(request.match_info["name"])
    if asset is None or request.match_info["digest"] != assets.digest:
        raise web.HTTPNotFound
    headers = {"Content-Type": asset.content_type, "Cache-Control": "public, max-age=31536000, immutable"}
    headers["Vary"] = "Accept-Encoding"
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=asset.packed, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=asset.body, headers=headers)


async def _session(request: web.Request) -> web.Response:
    return _told(request, session_of(request))


async def _sign_in(request: web.Request) -> web.Response:
    guard = request.app[_GUARD]
    if not guard.opens:
        raise Refused(403, "this dashboard is read-only: start it with SCENESTREAM_DASHBOARD__TOKEN to sign in")
    said = await body_of(request, SignIn)
    try:
        session = guard.sign_in(client_of(request), said.token)
    except TooManyTries as error:
        _log.warning("too_many_wrong_tokens", remote=client_of(request))
        raise Refused(429, str(error), error.seconds) from error
    if session is None:
        _log.warning("wrong_token", remote=client_of(request))
        raise Refused(401, "that is not the token")
    response = _told(request, session)
    response.set_cookie(_cookie(request), session.secret, httponly=True, samesite="Strict", secure=_is_secure(request))
    return response


async def _sign_out(request: web.Request) -> web.Response:
    request.app[_GUARD].sign_out(may_ask(request))
    response = _told(request, None)
    response.del_cookie(_cookie(request))
    return response


def _told(request: web.Request, session: Session | None) -> web.Response:
    csrf = None if session is None else session.csrf
    return answer({"can_sign_in": can_sign_in(request), "signed_in": session is not None, "csrf": csrf})


def _is_secure(request: web.Request) -> bool:
    proxied = request.app[_GUARD].trusts(request.remote or "")
    return request.secure or (proxied and request.headers.get("X-Forwarded-Proto") == "https")


def _cookie(request: web.Request) -> str:
    # Cookies know no ports: two dashboards on a machine must not sign each other out.
    return f"scenestream-{request.url.port}"

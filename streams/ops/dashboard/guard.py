"""Who may do what: the names the page answers to, who has signed in, and whether a request is the page's own."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

_WRONG_TOKENS = 5
_FORGIVEN_AFTER_SECONDS = 60.0
_SESSION_SECONDS = 12 * 3600.0
_MOST_SESSIONS = 64
_MOST_REMOTES = 1024

Kept = TypeVar("Kept")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TooManyTries(Exception):  # noqa: N818 - what it is, not that it is an error
    """Wrong tokens came too often from one place; `seconds` until it may try again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many wrong tokens; try again in {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who showed the token: the cookie's secret, what each changing request repeats, and when it ends."""

    secret: str
    csrf: str
    until_seconds: float


class Guard:
    """Keeps sessions in memory: whoever has signed in does so again after a restart."""

    def __init__(
        self,
        token: SecretStr | None,
        names: Collection[str],
        clock_seconds: Callable[[], float],
        proxies: Collection[Network] = (),
    ) -> None:
        self._token = token
        self._proxies = tuple(proxies)
        self._names = {name.lower() for name in names} | {"localhost"}
        self._clock = clock_seconds
        self._sessions: dict[str, Session] = {}
        self._wrong: dict[str, deque[float]] = {}

    @property
    def opens(self) -> bool:
        """Whether anybody can sign in at all: without a token the page stays read-only."""
        return self._token is not None

    def answers_to(self, host: str | None) -> bool:
        """Return whether a Host header is one of ours: an address, localhost, or a name that was set.

        A page of somebody else can make its own name point at us (DNS rebinding), but never an address.
        """
        name = _name_of(f"//{host}") if host else None
        return name is not None and (name in self._names or _is_address(name))

    def is_own(self, origin: str | None, host: str | None) -> bool:
        """Return whether a changing request comes from a page that we served."""
        if not origin or not host:
            return False
        try:
            return urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            return False

    def trusts(self, peer: str) -> bool:
        """Return whether a peer is a proxy whose word on whom it speaks for counts."""
        return _is_address(peer) and any(ipaddress.ip_address(peer) in network for network in self._proxies)

    def client(self, peer: str, forwarded: str) -> str:
        """Return who asks: the peer, or the last address of X-Forwarded-For that no trusted proxy has.

        Whoever asks may write that header too, so what stands before such an address is worth nothing.
        """
        said = [one.strip() for one in forwarded.split(",")]
        while self.trusts(peer) and said and _is_address(said[-1]):
            peer = said.pop()
        return peer

    def sign_in(self, remote: str, token: str) -> Session | None:
        """Return a new session, None for a wrong token; raises TooManyTries, also for the right one."""
        now = self._clock()
        wrong = self._wrong.get(remote, deque())
        while wrong and wrong[0] <= now - _FORGIVEN_AFTER_SECONDS:
            wrong.popleft()
        if len(wrong) >= _WRONG_TOKENS:
            raise TooManyTries(wrong[0] + _FORGIVEN_AFTER_SECONDS - now)
        expected = "" if self._token is None else self._token.get_secret_value()
        if not (hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace")) and expected):
            wrong.append(now)
            self._wrong.pop(remote, None)
            self._wrong[remote] = wrong
            _keep(self._wrong, _MOST_REMOTES)
            return None
        self._wrong.pop(remote, None)
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32), now + _SESSION_SECONDS)
        self._sessions[session.secret] = session
        _keep(self._sessions, _MOST_SESSIONS)
        return session

    def session(self, secret: str | None) -> Session | None:
        """Return the session of a cookie; None where there is none, or it has ended."""
        session = self._sessions.get(secret or "")
        if session is not None and session.until_seconds <= self._clock():
            del self._sessions[session.secret]
            return None
        return session

    def sign_out(self, session: Session) -> None:
        """End a session."""
        self._sessions.pop(session.secret, None)


def may_change(session: Session | None, csrf: str | None) -> bool:
    """Return whether a request of this session repeats the session's own word, as no other page can."""
    given = (csrf or "").encode("utf-8", "replace")
    return session is not None and hmac.compare_digest(session.csrf.encode(), given)


def is_loopback(host: str) -> bool:
    """Return whether a host to listen at is this machine alone."""
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _name_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _keep(kept: dict[str, Kept], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]

"""Who may do what: host names, origins, tokens, sessions."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from streams.ops.dashboard.guard import Guard, TooManyTries, is_loopback, may_change

TOKEN = "a token of sufficient length"  # noqa: S105 - a test's


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    return Guard(SecretStr(TOKEN), ("ops.example",), clock)


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:8088", True),
        ("localhost:8088", True),
        ("LOCALHOST", True),
        ("[::1]:8088", True),
        ("192.0.2.7:80", True),
        ("ops.example:8088", True),
        ("evil.example:8088", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8088", False),
        ("user@localhost:1", True),
        ("[::1", False),
        ("", False),
        (None, False),
    ],
)
def test_only_addresses_and_known_names_are_answered(guard: Guard, host: str | None, ours: bool) -> None:
    assert guard.answers_to(host) is ours


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("http://127.0.0.1:8088", True),
        ("https://127.0.0.1:8088", True),
        ("http://127.0.0.1:8089", False),
        ("http://evil.example", False),
        ("null", False),
        ("http://[", False),
        (None, False),
    ],
)
def test_a_change_comes_from_our_own_page(guard: Guard, origin: str | None, own: bool) -> None:
    assert guard.is_own(origin, "127.0.0.1:8088") is own


def test_the_token_opens_a_session_and_nothing_else_does(guard: Guard) -> None:
    assert guard.sign_in("here", "wrong") is None
    assert guard.sign_in("here", "") is None
    assert guard.sign_in("here", TOKEN + "x") is None
    assert guard.sign_in("here", "\ud800") is None
    session = guard.sign_in("here", TOKEN)
    assert session is not None
    assert guard.session(session.secret) is session
    assert guard.session(None) is guard.session("another") is None
    assert may_change(session, session.csrf)
    assert not may_change(session, session.secret)
    assert not may_change(session, None)
    assert not may_change(None, session.csrf)
    guard.sign_out(session)
    assert guard.session(session.secret) is None


def test_without_a_token_nobody_signs_in(clock: Clock) -> None:
    guard = Guard(None, (), clock)
    assert not guard.opens
    assert guard.sign_in("here", "") is None


def test_wrong_tokens_are_counted_per_place_and_forgiven_in_time(guard: Guard, clock: Clock) -> None:
    for _ in range(5):
        assert guard.sign_in("there", "wrong") is None
        clock.now += 1
    with pytest.raises(TooManyTries) as too_many:
        guard.sign_in("there", TOKEN)
    assert too_many.value.seconds == pytest.approx(55)
    assert guard.sign_in("elsewhere", TOKEN) is not None
    clock.now += 56
    assert guard.sign_in("there", TOKEN) is not None


def test_sessions_end(guard: Guard, clock: Clock) -> None:
    session = guard.sign_in("here", TOKEN)
    assert session is not None
    clock.now += 12 * 3600 + 1
    assert guard.session(session.secret) is None


def test_sessions_and_tries_take_bounded_memory(guard: Guard) -> None:
    first = guard.sign_in("here", TOKEN)
    for number in range(70):
        assert guard.sign_in(f"place {number}", TOKEN) is not None
    assert first is not None
    assert guard.session(first.secret) is None
    for number in range(1100):
        guard.sign_in(f"place {number}", "wrong")
    assert len(guard._wrong) <= 1024


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("192.0.2.7", False), ("ops", False)],  # noqa: S104 - asked about, not listened at
)
def test_loopback_is_known(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone

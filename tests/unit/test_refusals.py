from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.errors import AuthenticationFailedError

from streams.kafka import refusals
from streams.kafka.refusals import refusal

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.close()


async def _talks_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()
    writer.close()


def asked(serve: Serve, **options: object) -> str | None:
    async def run() -> str | None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await refusal(
                {"bootstrap_servers": f"127.0.0.1:{port}", "security_protocol": "PLAINTEXT", **options}
            )

    return asyncio.run(run())


def test_one_that_is_away_or_hangs_up_refuses_nobody() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        options = {"bootstrap_servers": f"127.0.0.1:{closed.getsockname()[1]}", "security_protocol": "PLAINTEXT"}
        assert asyncio.run(refusal(options)) is None
    assert asked(_hangs_up) is None
    assert asked(_hangs_up, security_protocol="SSL", ssl_context=ssl.create_default_context()) is None


def test_one_that_does_not_speak_tls_is_named() -> None:
    context = ssl.create_default_context()
    why = asked(_talks_plainly, security_protocol="SSL", ssl_context=context)
    assert why is not None
    assert "does not speak TLS" in why


def test_a_server_that_lets_us_in_outweighs_those_that_do_not_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where servers of a cluster come up one after the other; they are asked in any order."""

    class Connection:
        def close(self) -> None: ...

    async def create_conn(host: str, port: int, **options: object) -> Connection:
        del host, options
        if port != 3:
            raise AuthenticationFailedError
        return Connection()

    monkeypatch.setattr(refusals, "create_conn", create_conn)
    told = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_plain_username": "mirela"}
    for _ in range(20):
        assert asyncio.run(refusal({"bootstrap_servers": "a:1,b:2,c:3", **told})) is None
    why = asyncio.run(refusal({"bootstrap_servers": "a:1,b:2", **told}))
    assert why is not None
    assert "authentication failed for user 'mirela' by PLAIN" in why

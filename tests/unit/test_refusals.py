from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

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


def test_one_that_does_not_speak_tls_is_named() -> None:
    context = ssl.create_default_context()
    why = asked(_talks_plainly, security_protocol="SSL", ssl_context=context)
    assert why is not None
    assert "does not speak TLS" in why

"""The proxy passes bytes on, holds them while it is silent, and breaks connections when it is closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.broker.kafka_server import free_port
from tests.chaos.proxy import Proxy


@asynccontextmanager
async def proxied_echo() -> AsyncIterator[tuple[Proxy, int]]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    port, target = free_port(), free_port()
    async with await asyncio.start_server(echo, "127.0.0.1", target), Proxy(port, target) as proxy:
        yield proxy, port


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()


def test_what_is_sent_while_it_is_silent_arrives_when_it_is_healed() -> None:
    async def silent() -> None:
        async with proxied_echo() as (proxy, port), connected(port) as (reader, writer):
            writer.write(b"one\n")
            assert await reader.readline() == b"one\n"
            proxy.cut("silent")
            writer.write(b"two\n")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readline(), 0.2)
            proxy.cut("open")
            assert await reader.readline() == b"two\n"

    asyncio.run(silent())


def test_a_closed_one_resets_connections_and_takes_no_other_until_it_is_opened() -> None:
    async def closed() -> None:
        async with proxied_echo() as (proxy, port):
            async with connected(port) as (reader, writer):
                writer.write(b"one\n")
                assert await reader.readline() == b"one\n"
                proxy.cut("closed")
                with pytest.raises(ConnectionResetError):
                    await reader.readline()
            async with connected(port) as (reader, _):
                with pytest.raises(ConnectionResetError):
                    await reader.readline()
            proxy.cut("open")
            async with connected(port) as (reader, writer):
                writer.write(b"three\n")
                assert await reader.readline() == b"three\n"

    asyncio.run(closed())

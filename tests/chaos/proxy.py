"""A TCP proxy that can be cut: between one worker and the broker."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Literal, Self

State = Literal["open", "silent", "closed"]
_CHUNK_BYTES = 64 * 1024
# A socket that does not linger is reset when it is closed.
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on `port` and passes on to `target` in both directions.

    `silent` is a cable that was pulled: nothing passes and nobody is told; what was under way arrives when it is
    healed, as TCP's retransmission has it. `closed` resets every connection and takes no other.
    """

    def __init__(self, port: int, target: int, host: str = "127.0.0.1") -> None:
        self._host, self._port, self._target = host, port, target
        self._passing = asyncio.Event()
        self._passing.set()
        self._closed = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    def cut(self, state: State) -> None:
        """Change what becomes of bytes."""
        self._closed = state == "closed"
        if state == "silent":
            self._passing.clear()
        else:
            self._passing.set()
        if self._closed:
            self._reset()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._reset()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._passing.wait()
            if self._closed:
                raise ConnectionResetError
            there, onward = await asyncio.open_connection(self._host, self._target)
        except OSError:
            self._end(writer)
            return
        self._writers.add(onward)
        for source, sink in ((reader, onward), (there, writer)):
            pump = asyncio.create_task(self._pump(source, sink, writer, onward))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *both: asyncio.StreamWriter
    ) -> None:
        try:
            while chunk := await source.read(_CHUNK_BYTES):
                await self._passing.wait()
                sink.write(chunk)
                await sink.drain()
        except OSError:
            pass
        finally:
            for writer in both:
                self._end(writer)

    def _reset(self) -> None:
        for writer in list(self._writers):
            self._end(writer)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        if not writer.transport.is_closing():
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()

"""As many readers of a dashboard's stream as one address may have: whoever comes next is one too many."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import Self
from urllib.parse import urlsplit

from streams.ops.dashboard.events import MOST_OF_AN_ADDRESS


class Crowd:
    """Streams that are open, and read, for as long as the block lasts."""

    def __init__(self, address: str) -> None:
        self._place = urlsplit(address)
        self._open: list[socket.socket] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 60
        # The place of a page that was closed is free a moment later.
        while len(self._open) < MOST_OF_AN_ADDRESS:
            assert time.monotonic() < deadline
            self._join()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        for one in self._open:
            one.close()

    def _join(self) -> None:
        one = socket.create_connection((self._place.hostname or "", self._place.port or 0), timeout=30)
        one.sendall(f"GET /api/events HTTP/1.1\r\nHost: {self._place.netloc}\r\n\r\n".encode())
        if b" 200 " in one.recv(15):
            self._open.append(one)
        else:
            one.close()
            time.sleep(0.1)

    def _read(self) -> None:
        """Take what comes: a reader that takes nothing is let go of."""
        with selectors.DefaultSelector() as selector:
            for one in self._open:
                selector.register(one, selectors.EVENT_READ)
            while not self._ending.is_set():
                for key, _ in selector.select(0.1):
                    assert isinstance(key.fileobj, socket.socket)
                    key.fileobj.recv(2**18)

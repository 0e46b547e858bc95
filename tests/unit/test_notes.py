from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from streams.kafka import notes
from streams.kafka.notes import Notes
from streams.kafka.records import Outgoing
from streams.kafka.transactions import Sending

SENDING = Sending({}, "group", 1000, 5, 2**20)


class Post:
    """Kafka, which takes its time for what comes first."""

    def __init__(self) -> None:
        self.sent: list[list[bytes]] = []
        self.slow = asyncio.Event()

    async def send_once(self, sending: Sending, records: Iterable[Outgoing]) -> None:
        assert sending is SENDING
        keys = [record.key or b"" for record in records]
        if b"slow" in keys:
            await self.slow.wait()
        self.sent.append(keys)


def note(key: bytes) -> Outgoing:
    return Outgoing("suspects", key, b"")


def test_those_of_one_turn_go_together_and_later_ones_never_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        post = Post()
        monkeypatch.setattr(notes, "send_once", post.send_once)
        written = Notes(SENDING)
        first = [asyncio.create_task(written.write([note(key)])) for key in (b"slow", b"a")]
        for _ in range(5):
            await asyncio.sleep(0)
        # Whoever gives up takes nothing from the others, and what is taken back stays taken back.
        first[0].cancel()
        later = [asyncio.create_task(written.write([note(key)])) for key in (b"b", b"c")]
        for _ in range(5):
            await asyncio.sleep(0)
        assert post.sent == []
        post.slow.set()
        await asyncio.gather(first[1], *later)
        assert post.sent == [[b"slow", b"a"], [b"b", b"c"]]

    asyncio.run(run())


def test_what_failed_does_not_keep_what_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async def refuse(*anything: object) -> None:
            raise TimeoutError(*anything)

        monkeypatch.setattr(notes, "send_once", refuse)
        written = Notes(SENDING)
        with pytest.raises(TimeoutError):
            await written.write([note(b"a")])
        post = Post()
        monkeypatch.setattr(notes, "send_once", post.send_once)
        await written.write([note(b"b")])
        assert post.sent == [[b"b"]]

    asyncio.run(run())

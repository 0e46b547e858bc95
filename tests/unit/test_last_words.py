from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from aiokafka.errors import KafkaConnectionError
from test_partition_runner import records

from streams.kafka import last_words
from streams.kafka.last_words import LastWords
from streams.kafka.records import Outgoing
from streams.kafka.suspects import BatchError, Hung, Suspects
from streams.kafka.transactions import Sending

SENDING = Sending({}, "group", 1000, 5, 2**20)


class Post:
    """What was sent, and whether Kafka takes it."""

    def __init__(self, refuses: Exception | None = None) -> None:
        self.notes: list[Outgoing] = []
        self.refuses = refuses

    async def send_once(self, sending: Sending, notes: Iterable[Outgoing]) -> None:
        assert sending is SENDING
        await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        self.notes += notes


def said(post: Post, monkeypatch: pytest.MonkeyPatch) -> list[tuple[BaseException, int]]:
    """Let two partitions fail on models that hang; return what ended the process, and how much was noted by then."""
    ended: list[tuple[BaseException, int]] = []
    monkeypatch.setattr(last_words, "send_once", post.send_once)

    async def run() -> None:
        words = LastWords(SENDING, Suspects("suspects", "one"), lambda error: ended.append((error, len(post.notes))))
        assert not words.begun
        for first in (0, 10):
            words.say(BatchError("resonance", records("scenes", first, 3), Hung("no answer")))
        assert words.begun
        assert ended == []
        for _ in range(10):
            await asyncio.sleep(0)

    asyncio.run(run())
    return ended


def test_everything_that_failed_is_noted_before_the_process_ends_once(monkeypatch: pytest.MonkeyPatch) -> None:
    post = Post()
    [(error, noted)] = said(post, monkeypatch)
    assert isinstance(error, Hung)
    assert noted == 6
    assert post.notes[-1].key == b"scenes:0:12"


@pytest.mark.parametrize("refuses", [KafkaConnectionError(), TimeoutError()])
def test_the_process_ends_also_where_nothing_can_be_noted(refuses: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    [(error, noted)] = said(Post(refuses), monkeypatch)
    assert isinstance(error, Hung)
    assert noted == 0

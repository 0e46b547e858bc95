"""What is waited for, and for how long."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, KafkaError

from streams.kafka import patience
from streams.kafka.patience import pause_seconds, until_reached


def test_what_kafka_refuses_is_not_waited_for_whatever_it_is_wrapped_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_PAUSE_SECONDS", 0.0)
    tries = 0

    async def attempt() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise KafkaConnectionError("away")
        raise KafkaError("unexpected") from GroupAuthorizationFailedError("g")

    with pytest.raises(KafkaError, match="unexpected"):
        asyncio.run(until_reached("group", attempt, lambda: tries > 5))
    assert tries == 2


def test_pauses_grow_up_to_five_seconds() -> None:
    assert [pause_seconds(tries) for tries in (1, 2, 3, 5, 6, 10_000)] == [0.25, 0.5, 1.0, 4.0, 5.0, 5.0]

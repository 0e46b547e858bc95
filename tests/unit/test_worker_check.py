from __future__ import annotations

import asyncio
from collections import deque

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.kafka import patience
from streams.kafka.clients import BrokerAway
from streams.kafka.patience import until_reached
from streams.kafka.topics_admin import TopicError
from streams.runtimes import worker_admission
from streams.runtimes.worker_admission import Admission, checked
from streams.settings import KafkaSettings

REFUSED = BrokerAway("Kafka at a:1 does not let us in: authentication failed")


def failures(monkeypatch: pytest.MonkeyPatch, *answers: Exception | None) -> list[BaseException]:
    """Return what ends a worker that hears these answers, the last one for ever."""
    said = deque(answers)
    told: list[BaseException] = []

    async def check_topics(_: KafkaSettings) -> None:
        answer = said.popleft() if len(said) > 1 else said[0]
        if answer is not None:
            raise answer

    monkeypatch.setattr(worker_admission, "check_topics", check_topics)
    monkeypatch.setattr(patience, "pause_seconds", lambda _: 0.0)
    asyncio.run(until_reached("producer", checked(KafkaSettings(), told.append), lambda: bool(told)))
    return told


@pytest.mark.parametrize("before", [None, KafkaConnectionError("away"), REFUSED])
def test_a_worker_waits_for_a_kafka_that_is_coming_up(
    monkeypatch: pytest.MonkeyPatch, before: Exception | None
) -> None:
    assert failures(monkeypatch, before, before, None) == []


@pytest.mark.parametrize("error", [REFUSED, TopicError("no topic scenes")])
def test_a_worker_ends_for_what_a_person_must_put_right(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    assert failures(monkeypatch, error) == [error]


def test_a_wrong_topic_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = TopicError("no topic scenes")
    assert failures(monkeypatch, wrong, None) == [wrong]


def test_a_worker_that_is_not_let_in_any_more_ends_when_that_was_said_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException] = []
    answers = [*[REFUSED] * 11, None, *[REFUSED] * 11]

    async def kept_out(_: KafkaSettings) -> BrokerAway | None:
        return answers.pop(0)

    async def look() -> None:
        admission = Admission(KafkaSettings(), told.append)
        while answers:
            await admission.ask()
        admission.granted()
        answers.extend([REFUSED] * 12)
        while answers:
            assert told == []
            await admission.ask()

    monkeypatch.setattr(worker_admission, "kept_out", kept_out)
    asyncio.run(look())
    assert told == [REFUSED]

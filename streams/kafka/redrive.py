"""Dead letters sent back to where they came from, each with its mark, in one transaction or not at all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from streams.kafka.clients import away, client_options, connected, denied_of, partitions_of
from streams.kafka.dead_letters import Letter, send_back
from streams.kafka.graveyard import Choice, letters
from streams.kafka.patience import is_fenced, may_pass
from streams.kafka.records import Outgoing
from streams.kafka.transactions import append
from streams.settings import KafkaSettings

_LETTERS_IN_A_TRANSACTION = 100


class RedriveError(Exception):
    """A redrive that another one ended; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Sendable:
    """Letters that may be sent back, how many were met that came back dead too often, and those that are not whole."""

    letters: Sequence[Letter]
    held_back: int
    partial: Sequence[Letter] = ()


@dataclass(slots=True)
class Redriven:
    """What became of letters: sent back, or refused by Kafka, each with its reason; the rest were sent back before."""

    sent: list[Letter] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


async def waiting(
    kafka: KafkaSettings,
    choice: Choice,
    most: int,
    takes: Callable[[Letter], bool] = lambda _: True,
    most_bytes: int | None = None,
) -> Sendable:
    """Return the chosen letters that may be sent back, so many or so many bytes at most; raises as `letters` does."""
    found: list[Letter] = []
    partial: list[Letter] = []
    weight = held_back = 0
    async with aclosing(letters(kafka, choice)) as lying:
        async for letter in lying:
            if not takes(letter):
                continue
            if letter.left_out:
                partial.append(letter)
                continue
            if letter.redrives >= kafka.topics.max_redrives:
                held_back += 1
                continue
            found.append(letter)
            weight += len(letter.value or b"")
            if len(found) >= most or (most_bytes is not None and weight >= most_bytes):
                break
    return Sendable(found, held_back, partial[:most])


async def redrive(kafka: KafkaSettings, chosen: Sequence[Letter]) -> Redriven:
    """Send letters back to where they came from, each together with its mark.

    What Kafka refuses stays where it is, unmarked, and keeps no other from being sent. One redrive at a time: whoever
    comes second ends the first, which raises RedriveError, and sends nothing that it sent. Raises BrokerAway.
    """
    homeless = await _homeless(kafka, {letter.home for letter in chosen})
    became = Redriven(refused={one.name: homeless[one.home] for one in chosen if one.home in homeless})
    housed = [letter for letter in chosen if letter.home not in homeless]
    chunks: deque[Sequence[Letter]] = deque(
        housed[at : at + _LETTERS_IN_A_TRANSACTION] for at in range(0, len(housed), _LETTERS_IN_A_TRANSACTION)
    )
    try:
        while chunks:
            async with _producing(kafka) as producer:
                await _send_until_refused(kafka, producer, chunks, became)
    except KafkaError as error:
        if not is_fenced(error):
            raise away(kafka, error) from error
        raise RedriveError(
            f"another redrive of {kafka.group} has begun and ended this one, after {len(became.sent)} letters; "
            "what it leaves waits: see `scenestream dead list`"
        ) from error
    return became


async def _homeless(kafka: KafkaSettings, topics: set[str]) -> dict[str, str]:
    """Return why nothing can be sent to those of some topics that Kafka shows nothing of: a producer waits for them."""
    missing = topics - {place.topic for place in await partitions_of(kafka, topics)}
    unseen = await denied_of(kafka, missing)
    return {
        topic: f"it shows nothing of {topic} to this user; access rules have to allow Describe and Write"
        if topic in unseen
        else f"{topic} is not there; `scenestream topics create` makes it"
        for topic in missing
    }


async def _send_until_refused(
    kafka: KafkaSettings, producer: AIOKafkaProducer, chunks: deque[Sequence[Letter]], became: Redriven
) -> None:
    """Send letters, a transaction for each chunk, until one is refused: no producer goes on after that.

    Whoever redrove before is fenced by this producer, and whoever comes later fences it. So what lies there now is what
    nobody has sent back, or this producer can send nothing.
    """
    choice = Choice(tuple({letter.place.topic for chunk in chunks for letter in chunk}))
    async with aclosing(letters(kafka, choice)) as lying:
        still = {letter.name async for letter in lying}
    while chunks:
        some = [letter for letter in chunks.popleft() if letter.name in still]
        try:
            await _send_together(producer, some)
        except KafkaError as error:
            if is_fenced(error) or may_pass(error):
                raise
            if len(some) == 1:
                became.refused[some[0].name] = f"{type(error).__name__}: {error}"
            else:
                half = len(some) // 2
                chunks.extendleft([some[half:], some[:half]])
            return
        became.sent += some


async def _send_together(producer: AIOKafkaProducer, some: Sequence[Letter]) -> None:
    """Send letters and their marks in one transaction; raises what Kafka says of those that it refuses."""
    if not some:
        return
    async with producer.transaction():
        sent: list[Awaitable[object]] = []
        stopped: BaseException | None = None
        try:
            for letter in some:
                message, mark = send_back(letter)
                sent.append(await _send(producer, message))
                sent.append(await _send(producer, mark))
        except (KafkaError, IllegalOperation) as error:
            stopped = error
        answers = await asyncio.gather(*sent, return_exceptions=True)
        errors = [one for one in answers if isinstance(one, BaseException)]
        if errors:
            # What follows a refusal is refused for being out of order, or in no transaction.
            final = (one for one in errors if not may_pass(one))
            raise next((one for one in errors if is_fenced(one)), None) or next(final, errors[0])
        if isinstance(stopped, IllegalOperation):
            # In a transaction of ours, and nothing was refused: somebody else's has ended it.
            raise ProducerFenced from stopped
        if stopped is not None:
            raise stopped


@asynccontextmanager
async def _producing(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    """Yield a producer that is the only one of its name: it fences whoever had that before."""
    producer = AIOKafkaProducer(
        **client_options(kafka),
        transactional_id=f"{kafka.group}-redrive",
        max_request_size=kafka.max_request_bytes,
        retry_backoff_ms=kafka.retry_backoff_ms,
    )
    async with connected(producer, kafka):
        yield producer


async def _send(producer: AIOKafkaProducer, record: Outgoing) -> Awaitable[object]:
    # Where nobody says which, or its topic was made anew with fewer, its key decides.
    known = record.partition in await producer.partitions_for(record.topic)
    partition = record.partition if known else None
    if record.key is None and record.value is None:
        # Kafka takes it, and so do batches; aiokafka's own `send` does not.
        [alone] = await append(producer, [replace(record, partition=partition)])
        return alone
    sent: Awaitable[object] = await producer.send(
        record.topic, record.value, key=record.key, headers=list(record.headers), partition=partition
    )
    return sent

"""The dead topics, looked at for a person, and letters of a group sent back from them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import datetime

from aiokafka.errors import TopicAuthorizationFailedError

from schemas.base import Frozen
from schemas.topics import dead_topic
from streams.kafka.clients import denied_of, partitions_of
from streams.kafka.graveyard import Choice, letters
from streams.kafka.letter_words import Namer, lies_elsewhere
from streams.kafka.redrive import Redriven, redrive, waiting
from streams.ops.letters import Graveyard, Grouped, GroupName, group_of
from streams.ops.reading.librdkafka import denied
from streams.settings import KafkaSettings
from streams.topology import AGENTS

_MOST_LETTERS = 10_000
_PLACES = 100
# What is sent back is held until its transaction ends.
_MOST_BYTES = 64 * 2**20


class RedriveReport(Frozen):
    """What a redrive did, or would do (`dry_run`): how many letters, and which places, at most a hundred named.

    `refused` are those that cannot be sent back, with the reason: Kafka says why, or they do not lie there whole.
    """

    dry_run: bool
    sent_back: int
    held_back: int
    places: tuple[str, ...]
    refused: tuple[str, ...] = ()


async def graveyard(kafka: KafkaSettings, at: datetime, *, texts: bool = False, name: Namer | None = None) -> Graveyard:
    """Return the letters of all dead topics that were not sent back, grouped; raises BrokerAway."""
    topics = _dead_topics(kafka)
    there = {place.topic for place in await partitions_of(kafka, topics)}
    missing = await denied_of(kafka, set(topics) - there)
    refused = [denied(topic, "Describe") for topic in missing]
    while True:
        grouped = Grouped(kafka.topics.max_redrives, texts=texts, prefix=kafka.topic_prefix, name=name)
        try:
            async with aclosing(letters(kafka, Choice(tuple(sorted(there)), most=_MOST_LETTERS + 1))) as found:
                async for letter in found:
                    if grouped.letters == _MOST_LETTERS:
                        grouped.cut = True
                        break
                    grouped.take(letter)
        except TopicAuthorizationFailedError as error:
            # One that may not be read must not hide the others.
            unread = there & {str(topic) for topic in error.args}
            if not unread:
                raise
            there -= unread
            refused += [denied(topic, "Read") for topic in unread]
            continue
        made = await asyncio.to_thread(grouped.graveyard, at)
        return made.model_copy(update={"refused": tuple(sorted(refused))})


async def redrive_group(kafka: KafkaSettings, name: GroupName, *, dry_run: bool, most: int = _PLACES) -> RedriveReport:
    """Send the letters of a group back to where they came from, so many or 64 MB at most; raises BrokerAway.

    Those that came back dead too often are held back, and those that Kafka does not take are told of. One redrive at a
    time: whoever comes second ends the first, which raises RedriveError.
    """
    choice = Choice((kafka.topic(dead_topic(name.topic)),), reason=name.reason)
    found = await waiting(kafka, choice, most, lambda letter: group_of(letter, kafka.topic_prefix) == name, _MOST_BYTES)
    became = Redriven([*found.letters]) if dry_run else await redrive(kafka, found.letters)
    return RedriveReport(
        dry_run=dry_run,
        sent_back=len(became.sent),
        held_back=found.held_back,
        places=tuple(letter.name for letter in became.sent[:_PLACES]),
        refused=(
            *(f"{place}: {why}" for place, why in became.refused.items()),
            *(f"{letter.name}: {lies_elsewhere(letter)}" for letter in found.partial),
        ),
    )


def _dead_topics(kafka: KafkaSettings) -> tuple[str, ...]:
    return tuple(kafka.topic(dead_topic(agent.reads)) for agent in AGENTS)

"""The audience: a live read_committed consumer that says what listeners say, and lets patient ones speak on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas import topics
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.kafka.records import Outgoing
from streams.kafka.transactions import append
from streams.kafka.wire import header
from tests.broker.live import FINAL, Pipeline
from tests.chaos.judge import Met
from tests.chaos.load import Load, said_of
from tests.chaos.silence import Answer

_STEPS_A_SECOND = 10
_SLOWER_BY = 5


class Audience:
    """Sends a load and listens to what becomes of it."""

    def __init__(self, pipeline: Pipeline, load: Load, producer: AIOKafkaProducer) -> None:
        self.met: list[Met] = []
        self._pipeline = pipeline
        self._load = load
        self._producer = producer
        self._sent: dict[str, float] = {}
        self._answers: dict[str, tuple[int, float]] = {}
        self._turns = {user: iter(turns) for user, turns in load.patient.items()}
        self._feedback: Counter[str] = Counter()
        self._echoes: Counter[str] = Counter()
        self._news = asyncio.Condition()

    @property
    def answers(self) -> list[Answer]:
        """When each scene was sent, and when its outcome was met, in seconds of one clock."""
        return [
            Answer(place, self._sent[name], at) for name, (place, at) in self._answers.items() if name in self._sent
        ]

    @property
    def open(self) -> int:
        """How many outcomes and echoes are still awaited; odd messages are not among them."""
        return len(self._load.owed - self._answers.keys()) + (self._feedback - self._echoes).total()

    async def has_heard(self, share: float) -> None:
        """Wait until this share of all scenes has an outcome."""
        async with self._news:
            await self._news.wait_for(lambda: len(self._answers) >= share * len(self._load.owed))

    async def has_heard_all(self, quiet_seconds: float) -> None:
        """Wait for every outcome and echo; give up when nothing at all has come for so long."""
        heard = -1
        while self.open and heard != len(self.met) + self._echoes.total():
            heard = len(self.met) + self._echoes.total()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(quiet_seconds), self._news:
                    await self._news.wait_for(lambda: not self.open)

    async def send(self, seconds: float, fault: asyncio.Task[None]) -> None:
        """Send the load in so many seconds, the last third slower while the fault is not over; patient users begin."""
        flowing = self._load.flowing
        steps = max(1, round(seconds * _STEPS_A_SECOND))
        odd = {steps * (place + 1) // (len(self._load.odd) + 1): one for place, one in enumerate(self._load.odd)}
        pause_seconds = 1.0 / _STEPS_A_SECOND
        await self._say(turn for turns in self._turns.values() for turn in [next(turns)])
        for step in range(steps):
            due = time.monotonic() + pause_seconds
            await self._say(flowing[len(flowing) * step // steps : len(flowing) * (step + 1) // steps])
            if step in odd:
                one = odd[step]
                outgoing = Outgoing(self._pipeline.kafka.topic(one.topic), one.key, one.value)
                await asyncio.gather(*await append(self._producer, [outgoing]))
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if step > steps * 2 // 3:
                await asyncio.wait([fault], timeout=_SLOWER_BY * pause_seconds)

    async def listen(self) -> None:
        """Listen until cancelled."""
        async with self._pipeline.follow((*FINAL, topics.SENSITIVITY)) as consumer:
            while True:
                heard = await consumer.getmany(timeout_ms=50)
                said: list[Scene | Feedback] = []
                for batch in heard.values():
                    for record in batch:
                        said += self._hear(record)
                if heard:
                    await self._say(said)
                    async with self._news:
                        self._news.notify_all()

    def _hear(self, record: Any) -> Iterable[Scene | Feedback]:  # noqa: ANN401 - aiokafka's own record
        name = record.topic.removeprefix(self._pipeline.kafka.topic_prefix)
        if name == topics.SENSITIVITY:
            return self._hear_echo(record)
        decision = Decision.model_validate_json(record.value)
        self.met.append((name, record.partition, record.offset))
        if decision.scene_id in self._answers:
            return ()
        self._answers[decision.scene_id] = (record.partition, time.monotonic())
        said = said_of(decision)
        self._feedback[decision.key] += len(said)
        if decision.key in self._turns and not said:
            return self._next(decision.key)
        return said

    def _hear_echo(self, record: Any) -> Iterable[Scene]:  # noqa: ANN401
        user = record.key.decode()
        if header(record.headers, "outcome") is None or user not in self._feedback:
            return ()
        self._echoes[user] += 1
        return self._next(user) if user in self._turns and self._echoes[user] == self._feedback[user] else ()

    def _next(self, user: str) -> Iterable[Scene]:
        following = next(self._turns[user], None)
        return () if following is None else (following,)

    async def _say(self, events: Iterable[Scene | Feedback]) -> None:
        events = list(events)
        await self._pipeline.send(self._producer, events)
        now = time.monotonic()
        self._sent.update({one.scene_id: now for one in events if isinstance(one, Scene)})

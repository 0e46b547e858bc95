"""One of those that `make bench-live` measures: a process on topics of its own, what it is sent and what comes back."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import topics
from schemas.scene import Scene
from streams.kafka.records import Outgoing
from streams.kafka.transactions import append
from streams.kafka.wire import encode
from tests.broker.live import Pipeline, free_port

WORKER = (str(Path(sys.executable).with_name("scenestream")), "worker")
PEER = (sys.executable, "-m", "tests.benchmarks.live_peers")
ROOT = Path(__file__).parents[2]
GUARANTEES = ("at_least_once", "exactly_once")
_QUIET_SECONDS = 90.0
_TICK_SECONDS = 0.002
_SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One turn of one contender: scenes a second, and milliseconds from sent to decided at `load` scenes a second.

    `cpu` is milliseconds of processor time that its process spends on a scene of the drain, all threads together.
    """

    drained: float
    cpu: float
    load: float
    p50: float
    p99: float


@dataclass
class Contender:
    """A process that works on topics of its own."""

    name: str
    guarantee: str
    command: tuple[str, ...]
    share: float = 1.0
    measured: list[Measured] = field(default_factory=list)

    async def start(self, stack: AsyncExitStack, bootstrap: str, folder: Path) -> None:
        self.pipeline = Pipeline(bootstrap, folder)
        await self.pipeline.make_topics()
        self._log = folder / f"{self.pipeline.kafka.group}.log"
        environment = {
            **os.environ,
            **self.pipeline.environment,
            "SCENESTREAM_KAFKA__GUARANTEE": self.guarantee,
            "SCENESTREAM_WEB__PORT": str(free_port()),
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - nothing else is to be done meanwhile
                self.command, env=environment, cwd=ROOT, stdout=log, stderr=log
            )
        stack.callback(self._end)
        self._producer: AIOKafkaProducer = await stack.enter_async_context(self.pipeline.producer())
        self._consumer: AIOKafkaConsumer = await stack.enter_async_context(self.pipeline.follow())

    async def drain(self, scenes: Sequence[Scene]) -> tuple[float, float]:
        """Return scenes a second, and the milliseconds of processor time that each cost."""
        records = [self._record(scene) for scene in scenes]
        began, spent = time.perf_counter(), self._cpu_seconds()
        _, arrived = await asyncio.gather(self._send(records), self._arrivals(len(scenes)))
        spent = self._cpu_seconds() - spent
        return len(scenes) / (max(arrived.values()) - began), spent / len(scenes) * 1000

    async def latencies(self, scenes: Sequence[Scene], load: float) -> list[float]:
        """Return milliseconds from when each scene was due to its decision; those of the first second do not count."""
        due = {scene.scene_id: number / load for number, scene in enumerate(scenes)}
        records = [self._record(scene) for scene in scenes]
        began = time.perf_counter()
        _, arrived = await asyncio.gather(self._pace(records, load, began), self._arrivals(len(scenes)))
        return [(at - began - due[name]) * 1000 for name, at in arrived.items() if due[name] >= _SETTLE_SECONDS]

    def _record(self, scene: Scene) -> Outgoing:
        message = encode(scene, at=datetime.now(UTC))
        return Outgoing(self.pipeline.kafka.topic(topics.SCENES), message.key, message.value, message.headers)

    async def _send(self, records: Sequence[Outgoing]) -> None:
        await asyncio.gather(*await append(self._producer, records))

    async def _pace(self, records: Sequence[Outgoing], load: float, began: float) -> None:
        sent: list[Awaitable[object]] = []
        number = 0
        while number < len(records):
            due = min(len(records), int((time.perf_counter() - began) * load) + 1)
            sent += await append(self._producer, records[number:due])
            number = due
            await asyncio.sleep(_TICK_SECONDS)
        await asyncio.gather(*sent)

    async def _arrivals(self, count: int) -> Mapping[str, float]:
        """Return when each scene's decision came."""
        arrived: dict[str, float] = {}
        last = time.perf_counter()
        while len(arrived) < count:
            for batch in (await self._consumer.getmany(timeout_ms=1000)).values():
                last = time.perf_counter()
                for record in batch:
                    arrived[dict(record.headers)["ce_subject"].decode()] = last
            if self._process.poll() is not None or time.perf_counter() - last > _QUIET_SECONDS:
                said = self._log.read_text(errors="replace")[-3000:]
                raise SystemExit(f"{self.name}: {len(arrived)} of {count} scenes were decided\n{said}")
        return arrived

    def _cpu_seconds(self) -> float:
        """Return the processor time of the process until now; not a number where the system does not tell."""
        try:
            said = Path(f"/proc/{self._process.pid}/stat").read_text()
        except FileNotFoundError:
            return math.nan
        ticks = said.rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


def contenders(others: Sequence[str], guarantees: Sequence[str], polled: int) -> list[Contender]:
    """Return those to be measured; the plain loops stand right before the workers that they are compared with."""
    pairs = [
        Contender(name, guarantee, command)
        for guarantee in guarantees
        for name, command in (("plain aiokafka", (*PEER, "plain", "--polled", str(polled))), ("worker", WORKER))
    ]
    rest = [
        Contender("Faust take()", "at_least_once", (*PEER, "take"), 0.25),
        Contender("Quix Streams", "at_least_once", (*PEER, "quix"), 0.25),
    ]
    return pairs + [one for one in rest if one.guarantee in guarantees and one.name.split()[0].lower() in others]

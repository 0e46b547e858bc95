"""A pipeline of a test's own on a shared broker: topics under a prefix, workers as processes, and what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas import topics
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka.clients import client_options
from streams.kafka.records import Outgoing
from streams.kafka.topics_admin import Admin, create, specs
from streams.kafka.transactions import append
from streams.kafka.wire import encode
from streams.settings import KafkaSettings

FINAL = (topics.READY, topics.WITHHELD, topics.REASONING)
_WORKER = Path(__file__).with_name("fake_worker.py")
_READY_WITHIN_SECONDS = 40.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class WorkerProcess:
    """A worker of the pipeline; what it logs is in `log`."""

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        name: str,
        command: Sequence[str] = (sys.executable, str(_WORKER)),
    ) -> None:
        self.port = free_port()
        self._command = command
        self.name = name
        self.log = folder / f"{name}.log"
        self._environment = {
            **os.environ,
            **environment,
            "SCENESTREAM_WEB__PORT": str(self.port),
            "SCENESTREAM_KAFKA__INSTANCE_ID": name,
            "SCENESTREAM_LOG_LEVEL": "info",
            "SCENESTREAM_LOG_FORMAT": "json",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, cwd=self.log.parent
            )

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            body = error.read()
            return error.code, json.loads(body) if body.startswith(b"{") else {}
        except OSError:
            return 0, {}

    async def until_ready(
        self, wanted: int = 200, *, within_seconds: float = _READY_WITHIN_SECONDS, may_end: bool = False
    ) -> float:
        """Wait until /readyz answers so; with `may_end` somebody else starts it again where it ends."""
        began = time.monotonic()
        while time.monotonic() - began < within_seconds:
            status, _ = await asyncio.to_thread(self.get, "/readyz")
            if status == wanted:
                return time.monotonic() - began
            assert may_end or self.running, f"the worker ended with {self.wait()}:\n{self.tail()}"
            await asyncio.sleep(0.1)
        raise AssertionError(f"the worker is not ready ({self.get('/readyz')}):\n{self.tail()}")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def terminate(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(120)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event.get("event") == name]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        if self.running:
            self.kill()


class Pipeline:
    """Topics of one test and who works on them."""

    def __init__(self, bootstrap: str, folder: Path, **settings: str) -> None:
        name = f"t{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.kafka = KafkaSettings(bootstrap_servers=bootstrap, group=name, topic_prefix=f"{name}.")
        self.environment = {
            "SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "SCENESTREAM_KAFKA__GROUP": name,
            "SCENESTREAM_KAFKA__TOPIC_PREFIX": f"{name}.",
            **{f"SCENESTREAM_{key.upper()}": value for key, value in settings.items()},
        }

    async def make_topics(self) -> None:
        admin = AIOKafkaAdminClient(**client_options(self.kafka))
        await admin.start()
        try:
            await create(cast("Admin", admin), specs(self.kafka))
        finally:
            await admin.close()

    async def drop_topics(self) -> None:
        admin = AIOKafkaAdminClient(**client_options(self.kafka))
        await admin.start()
        try:
            await admin.delete_topics([spec.name for spec in specs(self.kafka)])
        finally:
            await admin.close()

    def worker(self, name: str = "one", **environment: str) -> WorkerProcess:
        return WorkerProcess({**self.environment, **environment}, self.folder, name)

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        # A broker that is killed on a busy machine may take its time to come back.
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka.bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=120_000,
        )
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    async def send(self, producer: AIOKafkaProducer, events: Iterable[Scene | Feedback]) -> None:
        records = []
        for event in events:
            message = encode(event, at=datetime.now(UTC))
            topic = topics.SCENES if isinstance(event, Scene) else topics.FEEDBACK
            records.append(Outgoing(self.kafka.topic(topic), message.key, message.value, message.headers))
        await asyncio.gather(*await append(producer, records))

    @asynccontextmanager
    async def follow(self, names: Sequence[str] = FINAL) -> AsyncIterator[AIOKafkaConsumer]:
        """Yield a read_committed consumer of whole topics, from their beginning."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap_servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_poll_records=2000,
        )
        await consumer.start()
        try:
            consumer.assign(
                [TopicPartition(self.kafka.topic(name), n) for name in names for n in range(self.kafka.partitions)]
            )
            yield consumer
        finally:
            await consumer.stop()

    async def outcomes(self, count: int, quiet_seconds: float = 25.0) -> list[Decision]:
        """Return final decisions: until there are `count`, and what else comes in the second after."""
        found: list[Decision] = []
        last = time.monotonic()
        async with self.follow() as consumer:
            while time.monotonic() - last < (1.0 if len(found) >= count else quiet_seconds):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += [decision_of(record.value) for record in batch]
                    last = time.monotonic()
        return found

    async def read(self, name: str) -> list[Any]:
        """Return all committed records of a topic, each partition in order."""
        return (await self.read_all([name]))[name]

    async def read_all(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Return all committed records of topics, each partition in order."""
        async with self.follow(names) as consumer:
            ends = await consumer.end_offsets(list(consumer.assignment()))
            records: dict[str, list[Any]] = {self.kafka.topic(name): [] for name in names}
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for tp, batch in (await consumer.getmany(timeout_ms=200)).items():
                    records[tp.topic] += batch
            return {
                name: sorted(records[self.kafka.topic(name)], key=lambda record: (record.partition, record.offset))
                for name in names
            }

    async def rows(self) -> dict[str, Sensitivity]:
        """Return the last row of each key."""
        return {
            record.key.decode(): Sensitivity.model_validate_json(record.value)
            for record in await self.read(topics.SENSITIVITY)
        }


def decision_of(value: bytes) -> Decision:
    return Decision.model_validate_json(value)

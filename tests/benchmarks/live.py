"""`make bench-live`: the worker on a real Kafka, side by side with others that do the same work.

Against the worker stands a plain aiokafka loop with the same stages, models, messages and guarantee; stock Faust's
`take` and Quix Streams do the same work at least once. Each is a process of its own that stays for all turns, with its
own topics of 4 partitions; they are measured in turns, one at a time, the pairs right after each other. A drain is so
many scenes put on the topic at once, timed until the last is decided, healings included; latency is from when a scene
was due to be sent until its decision arrived, at half of what the plain loop drains; Faust's `take` and Quix Streams,
where they are slower, at half of what they drain themselves (`at/s`), so their latencies stand apart from the
worker's. What is measured is preceded by a warm-up. Ratios are medians of the ratios of each turn's pair.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import topics
from schemas.scene import Scene
from schemas.vector import Vector
from streams.cli.wiring import load_settings, open_scorer
from streams.kafka.records import Outgoing
from streams.kafka.transactions import append
from streams.kafka.wire import encode
from streams.replay.reader import Selection, read_logs
from streams.scoring.scorer import ModelScorer
from tests.broker.kafka_server import find_broker
from tests.broker.live import Pipeline, free_port

EXAMPLES = tuple(f"examples/{log}" for log in ("evenings.jsonl", "night_shift.jsonl.gz", "scenes.jsonl"))
WORKER = (str(Path(sys.executable).with_name("scenestream")), "worker")
PEER = (sys.executable, "-m", "tests.benchmarks.live_peers")
ROOT = Path(__file__).parents[2]
GUARANTEES = ("at_least_once", "exactly_once")
_QUIET_SECONDS = 90.0
_TICK_SECONDS = 0.002
_SETTLE_SECONDS = 1.0
Fresh = Callable[[int], list[Scene]]


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of scenes: how many a drain and a warm-up have, and what share of the plain loop the worker must reach."""

    name: str
    title: str
    drained: int
    warm_up: int
    target: float


CASES = (
    Case("embeddings", "(a) scenes that bring embeddings", 6000, 1500, 0.90),
    Case("text", "(b) scenes with text", 400, 200, 0.95),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One turn of one contender: scenes a second, and milliseconds from sent to decided at `load` scenes a second."""

    drained: float
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

    async def drain(self, scenes: Sequence[Scene]) -> float:
        """Return scenes a second."""
        records = [self._record(scene) for scene in scenes]
        began = time.perf_counter()
        _, arrived = await asyncio.gather(self._send(records), self._arrivals(len(scenes)))
        return len(scenes) / (max(arrived.values()) - began)

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

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


def contenders(chosen: Sequence[str], polled: int) -> list[Contender]:
    """Return those to be measured; the plain loops stand right before the workers that they are compared with."""
    pairs = [
        Contender(name, guarantee, command)
        for guarantee in GUARANTEES
        for name, command in (("plain aiokafka", (*PEER, "plain", "--polled", str(polled))), ("worker", WORKER))
    ]
    others = [
        Contender("Faust take()", "at_least_once", (*PEER, "take"), 0.25),
        Contender("Quix Streams", "at_least_once", (*PEER, "quix"), 0.25),
    ]
    return pairs + [one for one in others if one.name.split()[0].lower() in chosen]


async def measure(
    case: Case, all_of_them: Sequence[Contender], scenes: Iterator[Scene], runs: int, paced: float
) -> None:
    def some(count: float) -> list[Scene]:
        return list(itertools.islice(scenes, max(1, round(count))))

    for one in all_of_them:
        for _ in range(2):
            await one.drain(some(case.warm_up * one.share))
    plain = {one.guarantee: one for one in all_of_them if one.name.startswith("plain")}
    for turn in range(runs):
        drained = {}
        # A pair goes forwards in one turn and backwards in the next; the others stay where they are.
        order = [*range(len(all_of_them))] if turn % 2 == 0 else [1, 0, 3, 2, *range(4, len(all_of_them))]
        for number in order:
            one = all_of_them[number]
            drained[number] = await one.drain(some(case.drained * one.share))
        for number in order:
            one = all_of_them[number]
            beside = drained[all_of_them.index(plain[one.guarantee])]
            load = (beside if one.share == 1.0 else min(beside, drained[number])) / 2
            took = await one.latencies(some(load * paced), load)
            cuts = statistics.quantiles(took, n=100)
            one.measured.append(Measured(drained[number], load, statistics.median(took), cuts[98]))
            print(f"  {case.name} {turn + 1}/{runs} {one.name}, {one.guarantee}: {one.measured[-1]}", file=sys.stderr)


def report(case: Case, all_of_them: Sequence[Contender]) -> None:
    plain = {one.guarantee: one.measured for one in all_of_them if one.name.startswith("plain")}
    print(f"\n{case.title}: {case.drained} a drain; targets: {case.target:.2f} of the plain loop, latency 1.30 of its")
    print(f"{'':<16}{'guarantee':<15}" + "".join(f"{name:>9}{'ratio':>7}" for name, *_ in _FIGURES) + f"{'at/s':>7}")
    for one in all_of_them:
        beside = plain[one.guarantee]
        cells = "".join(
            f"{statistics.median([of(mine) for mine in one.measured]):>9.0f}"
            f"{statistics.median([of(mine) / of(its) for mine, its in zip(one.measured, beside, strict=True)]):>7.2f}"
            for _, of in _FIGURES
        )
        load = statistics.median([mine.load for mine in one.measured])
        print(f"{one.name:<16}{one.guarantee.replace('_', ' '):<15}{cells}{load:>7.0f}", flush=True)


_FIGURES: tuple[tuple[str, Callable[[Measured], float]], ...] = (
    ("scenes/s", lambda one: one.drained),
    ("p50 ms", lambda one: one.p50),
    ("p99 ms", lambda one: one.p99),
)


def endless(case: Case, scorer: ModelScorer) -> Iterator[Scene]:
    """Yield the examples' scenes again and again under fresh ids, their texts made new, for texts are remembered."""
    selection = Selection(load_settings().replay.context_turns)
    read = [item.event for item in read_logs(EXAMPLES, scorer.terms(), selection)]
    scenes = [one for one in read if isinstance(one, Scene) and one.draft is not None and one.embedding is None]
    if case.name == "embeddings":
        vectors = scorer.suite.encoder.encode([one.draft for one in scenes if one.draft is not None]).vectors
        scenes = [
            one.model_copy(update={"draft": None, "context": (), "embedding": Vector.pack(vector)})
            for one, vector in zip(scenes, vectors, strict=True)
        ]
    for copy in itertools.count():
        yield from (_fresh(one, f"{copy}") for one in scenes)


def _fresh(scene: Scene, copy: str) -> Scene:
    name = f"{scene.dialogue_id}~{copy}"
    said = tuple(one.model_copy(update={"text": f"{one.text} {copy}"}) for one in scene.context)
    return scene.model_copy(
        update={
            "dialogue_id": name,
            "scene_id": f"{name}:{scene.turn}",
            "user_id": None if scene.user_id is None else f"{scene.user_id}~{copy}",
            "context": said,
            "draft": None if scene.draft is None else f"{scene.draft} {copy}",
        }
    )


async def compare(options: argparse.Namespace, bootstrap: str, folder: Path) -> None:
    scorer = open_scorer(load_settings())
    for case in (case for case in CASES if case.name in options.case):
        chosen = contenders(options.others, options.polled)
        async with AsyncExitStack() as stack:
            for one in chosen:
                await one.start(stack, bootstrap, folder)
            await measure(case, chosen, endless(case, scorer), options.runs, options.seconds)
        report(case, chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="turns; figures are medians")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long scenes are sent to measure latency")
    parser.add_argument("--polled", type=int, default=1024, help="records in a poll of the plain loop at most")
    parser.add_argument("--case", nargs="*", default=[case.name for case in CASES])
    parser.add_argument("--others", nargs="*", default=["faust", "quix"], help="who else is measured")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scenestream-bench-"))
    broker = find_broker(folder)
    try:
        broker.start()
        print(f"4 partitions, one process each, {os.cpu_count()} cores; medians of {options.runs}", flush=True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(compare(options, broker.bootstrap, folder))
    finally:
        broker.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

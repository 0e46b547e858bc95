"""`make bench-resume`: for how long a partition is silent when workers are killed or restarted one after the other.

Scenes come at a steady pace for all partitions; silence is the longest time between two outcomes of a partition, from
before the fault until a while after the last worker is back. Most runs have models that know nothing, which start at
once; with `--real` the last runs have the real ones.

- kill: kill -9 of one of two workers, which stays away: the other has to notice and take over.
- kill, restart: kill -9 of one of two workers, which is started again at once under its name (static membership).
- alone: kill -9 of the only worker, started again at once.
- rolling: SIGTERM, restart and wait until ready, of each of three workers in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from schemas.scene import Scene
from schemas.vector import Vector
from tests.broker.kafka_server import find_broker
from tests.broker.live import Pipeline, WorkerProcess

REAL = (str(Path(sys.executable).with_name("scenestream")), "worker")
_SCENES_A_SECOND = 100
_TICK_SECONDS = 0.05
_SETTLE_SECONDS = 2.0
_CALM_SECONDS = 4.0
_USERS = 200
Fault = Callable[[Sequence[WorkerProcess]], Awaitable[None]]


async def kill(workers: Sequence[WorkerProcess]) -> None:
    workers[0].kill()
    await asyncio.sleep(10.0)


async def kill_and_restart(workers: Sequence[WorkerProcess]) -> None:
    workers[0].kill()
    workers[0].start()
    await workers[0].until_ready()


async def rolling(workers: Sequence[WorkerProcess]) -> None:
    for worker in workers:
        code = await asyncio.to_thread(worker.terminate)
        assert code == 0, f"{worker.name} ended with {code}:\n{worker.tail()}"
        worker.start()
        await worker.until_ready()


FAULTS: dict[str, tuple[int, Fault, float]] = {
    "kill": (2, kill, 10.0),
    "kill, restart": (2, kill_and_restart, 10.0),
    "alone": (1, kill_and_restart, 10.0),
    "rolling": (3, rolling, 5.0),
}


def scenes(seed: int, *, embedded: bool) -> Iterator[Scene]:
    """Yield scenes of many users, each the next turn of a user's only dialogue."""
    rng, numbers, turns = random.Random(seed), np.random.default_rng(seed), defaultdict[str, int](int)
    for number in itertools.count():
        user = f"u{rng.randrange(_USERS)}"
        vector = numbers.standard_normal(384).astype(np.float32)
        said = {"embedding": Vector.pack(vector / np.linalg.norm(vector))} if embedded else {"draft": f"draft {number}"}
        turns[user] += 1
        yield Scene.model_validate(
            {
                "dialogue_id": f"d-{user}",
                "user_id": user,
                "turn": turns[user],
                "scene_id": f"d-{user}:{turns[user]}",
                **said,
            }
        )


class Listener:
    """Hears outcomes and remembers when each partition last spoke, and for how long it was silent at most."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._last: dict[int, float] = {}
        self.longest: dict[int, float] = {}

    def begin(self) -> None:
        self.longest = dict.fromkeys(range(self._pipeline.kafka.partitions), 0.0)

    def silence(self) -> dict[int, float]:
        """Return seconds for each partition, what is silent now included."""
        now = time.monotonic()
        return {number: max(self.longest[number], now - self._last[number]) for number in self.longest}

    @property
    def heard_all(self) -> bool:
        return len(self._last) == self._pipeline.kafka.partitions

    async def listen(self) -> None:
        async with self._pipeline.follow() as consumer:
            while True:
                for tp in await consumer.getmany(timeout_ms=20):
                    now = time.monotonic()
                    if tp.partition in self.longest and tp.partition in self._last:
                        gap = now - self._last[tp.partition]
                        self.longest[tp.partition] = max(self.longest[tp.partition], gap)
                    self._last[tp.partition] = now


async def pace(pipeline: Pipeline, source: Iterator[Scene], a_second: int) -> None:
    began, sent = time.monotonic(), 0
    async with pipeline.producer() as producer:
        while True:
            due = int((time.monotonic() - began) * a_second) - sent
            sent += due
            await pipeline.send(producer, itertools.islice(source, due))
            await asyncio.sleep(_TICK_SECONDS)


async def silences(
    name: str, bootstrap: str, folder: Path, runs: int, command: Sequence[str] | None, guarantee: str
) -> list[float]:
    """Return the silence of each partition in each run."""
    count, fault, _ = FAULTS[name]
    pipeline = Pipeline(bootstrap, folder, kafka__guarantee=guarantee)
    await pipeline.make_topics()
    found: list[float] = []
    listener = Listener(pipeline)
    with ExitStack() as stack:
        workers = []
        for number in range(count):
            given = () if command is None else (command,)
            label = f"{pipeline.kafka.group}-{number}"
            workers.append(stack.enter_context(WorkerProcess(pipeline.environment, folder, label, *given)))
        for worker in workers:
            await worker.until_ready()
        working = [
            asyncio.create_task(listener.listen()),
            asyncio.create_task(pace(pipeline, scenes(1, embedded=command is not None), _SCENES_A_SECOND)),
        ]
        for _ in range(runs):
            for worker in workers:
                if not worker.running:
                    worker.start()
                await worker.until_ready()
            while not listener.heard_all:  # noqa: ASYNC110 - what it hears is looked at now and then
                await asyncio.sleep(0.1)
            await asyncio.sleep(_CALM_SECONDS)
            listener.begin()
            await fault(workers)
            await asyncio.sleep(_SETTLE_SECONDS)
            found += listener.silence().values()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    return found


async def compare(options: argparse.Namespace, bootstrap: str, folder: Path) -> bool:
    print(f"{'fault':<16}{'models':<8}{'runs':>5}{'p50 s':>8}{'max s':>8}{'target':>8}", flush=True)
    met = True
    kinds: list[tuple[str, Sequence[str] | None, int]] = [("none", None, options.runs), ("real", REAL, options.real)]
    for models, command, runs in kinds:
        if not runs:
            continue
        for name in options.fault:
            found = await silences(name, bootstrap, folder, runs, command, options.guarantee)
            target = FAULTS[name][2]
            met &= max(found) < target
            p50 = statistics.median(found)
            print(f"{name:<16}{models:<8}{runs:>5}{p50:>8.2f}{max(found):>8.2f}{target:>8.0f}", flush=True)
    return met


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--real", type=int, default=0, metavar="RUNS", help="so many more with the real models")
    parser.add_argument("--fault", nargs="*", default=[*FAULTS], choices=[*FAULTS])
    parser.add_argument("--guarantee", default="exactly_once", choices=["exactly_once", "at_least_once"])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scenestream-resume-"))
    broker = find_broker(folder)
    try:
        broker.start()
        met = asyncio.run(compare(options, broker.bootstrap, folder))
    finally:
        broker.close()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()

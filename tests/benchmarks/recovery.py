"""`make bench-recovery`: how long a worker takes to have its rows back, and how much memory they are.

The compacted `sensitivity` topic is filled with rows as the stages leave them (users with one to six dialogues, labels
that are learnt, scenes that are healed) on a real broker. Then `scenestream worker` starts, with its real models, and
is asked over HTTP how it is until it is ready. Afterwards a few users send one more scene, and their rows must go on
from where they stood.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from schemas import topics
from schemas.feedback import Feedback
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka.wire import encode_row
from streams.settings import Settings
from streams.stages import resonance, threshold
from tests.broker.kafka_server import find_broker
from tests.broker.live import Pipeline, free_port

WORKER = (str(Path(sys.executable).with_name("scenestream")), "worker")
ROOT = Path(__file__).parents[2]
TARGET_SECONDS, TARGET_BYTES = 90.0, 1.5e9
_PATTERNS = 1500
_ASKED_EVERY_SECONDS = 0.05
_GIVEN_UP_SECONDS = 600.0
_GO_ON = 40


def patterns(count: int, seed: int) -> list[Sensitivity]:
    """Return rows of users named `user-NNNNNNN`, each as the stages left it after its scenes and feedback."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "contract")]
    from fake_scorer import FakeScorer  # noqa: PLC0415 - found where the tests are

    rng, scorer, policy = random.Random(seed), FakeScorer(), Settings().policy()
    made = []
    for number in range(count):
        user = f"user-{number:07d}"
        row = Sensitivity(key=user)
        for talk in range(rng.choice([1, 1, 2, 3, 4, 6])):
            for turn in range(rng.randrange(2, 16)):
                one = _scene(user, talk, turn, f"draft {rng.random()}")
                row = resonance.offer(row, one, policy)
                judged = resonance.judge(one, scorer.read(scorer.encode([one]))[0], row, policy)
                row = judged.row
                if judged.decision.verdict.value == "ready" and rng.random() < 0.4:
                    said = Feedback(
                        scene_id=one.scene_id,
                        dialogue_id=one.dialogue_id,
                        user_id=user,
                        turn=turn,
                        rating=float(rng.random() < 0.85),
                    )
                    row = threshold.tune(row, said, policy.gate).row
        made.append(row)
    return made


def _scene(user: str, talk: int, turn: int, draft: str) -> Scene:
    dialogue = f"talk-{user}-{talk}"
    return Scene(scene_id=f"{dialogue}:{turn}", dialogue_id=dialogue, user_id=user, turn=turn, draft=draft)


def rows(count: int, known: list[Sensitivity]) -> Iterator[tuple[bytes, bytes]]:
    """Yield `count` keys and rows: the patterns again and again, each time with users and dialogues of other names."""
    values = [row.model_dump_json().encode() for row in known]
    for number in range(count):
        pattern = number % len(values)
        old, new = f"user-{pattern:07d}".encode(), f"user-{number:07d}".encode()
        yield new, values[pattern].replace(old, new)


def fill(pipeline: Pipeline, count: int, known: list[Sensitivity]) -> int:
    """Put the rows on the topic as a worker does; return how many bytes the values have."""
    producer = Producer(
        {
            "bootstrap.servers": pipeline.kafka.bootstrap_servers,
            "linger.ms": 50,
            "acks": "all",
            # As Java's clients and aiokafka's: rows stand in the partitions of their keys.
            "partitioner": "murmur2_random",
        }
    )
    like = encode_row(known[0], scene_id="talk:0", stage="resonance", attempt=0, at=datetime.now(UTC))
    headers = list(like.headers)
    topic, size = pipeline.kafka.topic(topics.SENSITIVITY), 0
    for key, value in rows(count, known):
        size += len(value)
        while True:
            try:
                producer.produce(topic, value, key, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()
    return size


@dataclass
class Watched:
    """What was seen of a worker from outside while it recovered."""

    asked: int = 0
    slowest_seconds: float = 0.0
    joined_bytes: int = 0
    joined_cpu_seconds: float = 0.0
    said: list[dict[str, Any]] = field(default_factory=list)


def watch(process: subprocess.Popen[bytes], port: int, log: Path) -> Watched:
    seen = Watched()
    began = time.monotonic()
    while time.monotonic() - began < _GIVEN_UP_SECONDS:
        if process.poll() is not None:
            raise SystemExit(f"the worker ended with {process.returncode}\n{log.read_text()[-3000:]}")
        asked = time.monotonic()
        alive, _ = ask(port, "/livez")
        if alive:
            seen.asked += 1
            seen.slowest_seconds = max(seen.slowest_seconds, time.monotonic() - asked)
            status, body = ask(port, "/readyz")
            if body.get("group_joined") and not seen.joined_bytes:
                seen.joined_bytes, seen.joined_cpu_seconds = memory(process.pid, "VmRSS"), cpu_seconds(process.pid)
            if body and (not seen.said or body.get("restoring") != seen.said[-1].get("restoring")):
                seen.said.append(body)
            if status == 200:
                return seen
        time.sleep(_ASKED_EVERY_SECONDS)
    raise SystemExit(f"the worker did not recover within {_GIVEN_UP_SECONDS:.0f} s\n{log.read_text()[-3000:]}")


def ask(port: int, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


def memory(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def go_on(pipeline: Pipeline, count: int, known: list[Sensitivity]) -> int:
    """Send one more scene for a few users; return how many rows went on from where they stood."""
    rng = random.Random(1)
    chosen = rng.sample(range(count), min(_GO_ON, count))
    wanted = {f"user-{number:07d}": known[number % len(known)].offered + 1 for number in chosen}
    async with pipeline.producer() as producer:
        draft = "The ferry leaves at nine from the other pier."
        await pipeline.send(producer, [_scene(user, 9, 0, draft) for user in wanted])
    decided = await pipeline.outcomes(len(wanted))
    return sum(wanted[one.key] == one.ledger.offered for one in decided)


async def measure(count: int, partitions: int, bootstrap: str, folder: Path) -> bool:
    pipeline = Pipeline(bootstrap, folder, kafka__partitions=str(partitions))
    pipeline.kafka = pipeline.kafka.model_copy(update={"partitions": partitions})
    await pipeline.make_topics()
    known = patterns(_PATTERNS, 1)
    began = time.monotonic()
    size = fill(pipeline, count, known)
    filled = time.monotonic() - began
    print(
        f"{count:,} rows of {size / max(count, 1):,.0f} bytes on {partitions} partitions ({filled:.0f} s)", flush=True
    )
    port, log = free_port(), folder / "worker.log"
    environment = {
        **os.environ,
        **pipeline.environment,
        "SCENESTREAM_WEB__PORT": str(port),
        "SCENESTREAM_LOG_LEVEL": "info",
        "SCENESTREAM_LOG_FORMAT": "json",
    }
    with log.open("ab") as stream:
        process = subprocess.Popen(WORKER, env=environment, cwd=ROOT, stdout=stream, stderr=stream)  # noqa: ASYNC220
    try:
        began = time.monotonic()
        seen = await asyncio.to_thread(watch, process, port, log)
        whole = time.monotonic() - began
        peak, now = memory(process.pid, "VmHWM"), memory(process.pid, "VmRSS")
        cpu = cpu_seconds(process.pid) - seen.joined_cpu_seconds
        held = ask(port, "/readyz?verbose")[1]["rows"]
        on = await go_on(pipeline, count, known)
    finally:
        process.kill()
        process.wait()
    told = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    restored = [one for one in told if one.get("event") == "restored"]
    seconds = restored[0]["seconds"]
    rate, bytes_a_row = held / max(seconds, 1e-3), (now - seen.joined_bytes) / max(held, 1)
    print(f"restored           {held:,} rows in {seconds:.1f} s ({rate:,.0f} rows/s); target {TARGET_SECONDS:.0f} s")
    print(f"                   {cpu:.1f} s of a processor, /livez and all")
    print(f"start to ready     {whole:.1f} s, models and all")
    print(f"memory             {peak / 1e6:,.0f} MB at the peak; target {TARGET_BYTES / 1e6:,.0f} MB")
    print(f"                   {seen.joined_bytes / 1e6:,.0f} MB before, {bytes_a_row:,.0f} bytes for each row")
    print(f"/livez meanwhile   {seen.asked} times asked, the slowest answer took {seen.slowest_seconds * 1000:.0f} ms")
    print(f"group's heartbeat  {len(restored) - 1} rebalances meanwhile")
    print(f"/readyz            {len(seen.said)} states, such as {json.dumps(seen.said[len(seen.said) // 2])}")
    print(f"rows that went on  {on} of {min(_GO_ON, count)} from where they stood")
    return seconds <= TARGET_SECONDS and peak <= TARGET_BYTES and held == count and on == min(_GO_ON, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=4)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scenestream-recovery-"))
    broker = find_broker(folder)
    try:
        broker.start()
        met = asyncio.run(measure(options.rows, options.partitions, broker.bootstrap, folder))
    finally:
        broker.close()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()

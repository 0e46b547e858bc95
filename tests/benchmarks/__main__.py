"""`make bench`: the figures that the README quotes, measured side by side in one go.

Replay against the encoder alone on the same distinct texts with the same threads; peak memory for a log and for the
same log repeated with fresh ids; the time from start to first decision.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from schemas.scene import Scene
from streams.cli.configured import load_settings
from streams.cli.wiring import open_suite
from streams.replay.reader import Selection, read_logs
from streams.scoring.situations import texts_of
from streams.stages.admit import Terms

EXAMPLES = ["examples/evenings.jsonl", "examples/night_shift.jsonl.gz"]
PROGRAM = [str(Path(sys.executable).parent / "scenestream"), "replay", "--no-progress", "--json"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", action="append", help="a log; the examples by default")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=20, help="how often the log is repeated for the memory figure")
    options = parser.parse_args()
    logs: list[str] = options.log or EXAMPLES
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        print(f"log: {', '.join(Path(log).name for log in logs)}; medians of {options.runs}")
        speed(logs, scratch, options.runs)
        memory(logs, scratch, options.repeat)
        first_decision(logs, options.runs)


def speed(logs: list[str], scratch: Path, runs: int) -> None:
    """Compare, in turns, the encoder in a tight loop with the whole replay."""
    settings = load_settings()
    texts, scenes = distinct_texts(logs)
    encoder = open_suite(settings).encoder
    alone, whole = [], []
    for _ in range(runs):
        start = time.perf_counter()
        encoder.encode(texts)
        alone.append(scenes / (time.perf_counter() - start))
        whole.append(replay(logs, scratch / "speed")["scenes_per_second"])
    ratio = statistics.median(b / a for a, b in zip(alone, whole, strict=True))
    threads = settings.models.threads
    print(f"encoder alone   {statistics.median(alone):8.1f} scenes/s ({len(texts)} texts, {threads} threads)")
    print(f"replay          {statistics.median(whole):8.1f} scenes/s ({scenes} scenes)")
    print(f"replay/encoder  {ratio:8.2f}   (target: at least 0.85)")


def memory(logs: list[str], scratch: Path, repeat: int) -> None:
    """Show the peak memory of a replay, and of the same log many times over with fresh ids."""
    repeated = scratch / "repeated.jsonl"
    with repeated.open("w", encoding="utf-8") as out:
        for turn in range(repeat):
            for line in lines(logs):
                out.write(freshened(line, turn) + "\n")
    once = peak_megabytes([*PROGRAM, *logs, "--out", str(scratch / "once")])
    many = peak_megabytes([*PROGRAM, str(repeated), "--out", str(scratch / "many")])
    print(f"peak memory     {once:8.0f} MB once, {many:.0f} MB for {repeat} times the log   (target: under 700 MB)")


def first_decision(logs: list[str], runs: int) -> None:
    """Show how long it takes from the start of the program to its first decision."""
    seconds = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            subprocess.run([*PROGRAM, *logs, "--limit", "1", "--out", folder], check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
    print(f"first decision  {statistics.median(seconds):8.2f} s after the start, report included   (target: under 3 s)")


def replay(logs: list[str], out: Path) -> dict[str, float]:
    done = subprocess.run([*PROGRAM, *logs, "--out", str(out)], check=True, stdout=subprocess.PIPE)
    summary: dict[str, float] = json.loads(done.stdout)
    return summary


def peak_megabytes(command: list[str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command} failed")
    return usage.ru_maxrss / 1024


def distinct_texts(logs: list[str]) -> tuple[list[str], int]:
    settings = load_settings()
    terms = Terms(384, lambda code: code)
    texts: dict[str, None] = {}
    scenes = 0
    for item in read_logs(logs, terms, Selection(settings.replay.context_turns)):
        if isinstance(item.event, Scene):
            scenes += 1
            texts.update(dict.fromkeys(texts_of(item.event)))
    return list(texts), scenes


def lines(logs: list[str]) -> Iterator[str]:
    for log in logs:
        data = Path(log).read_bytes()
        text = (gzip.decompress(data) if log.endswith(".gz") else data).decode("utf-8")
        yield from text.splitlines()


def freshened(line: str, turn: int) -> str:
    value = json.loads(line)
    for name in ("id", "user_id", "dialogue_id"):
        if value.get(name):
            value[name] = f"{value[name]}~{turn}"
    value.pop("scene_id", None)
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    main()

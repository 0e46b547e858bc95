"""`make bench-live`: the worker on a real Kafka, side by side with others that do the same work.

Against the worker stands a plain aiokafka loop with the same stages, models, messages and guarantee; stock Faust's
`take` and Quix Streams do the same work at least once. Each is a process of its own that stays for all turns, with its
own topics of 4 partitions; they are measured in turns, one at a time, the pairs right after each other. A drain is so
many scenes put on the topic at once, timed until the last is decided, healings included; `cpu ms` is the processor time
that a scene of it cost the process. Latency is from when a scene was due to be sent until its decision arrived, at half
of what the plain loop drains; Faust's `take` and Quix Streams, where they are slower, at half of what they drain
themselves (`at/s`), so their latencies stand apart from the worker's. What is measured is preceded by a warm-up. Ratios
are medians of the ratios of each turn's pair.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from schemas.scene import Scene
from streams.cli.configured import load_settings
from streams.cli.wiring import open_scorer
from tests.benchmarks.live_contender import GUARANTEES, Contender, Measured, contenders
from tests.benchmarks.live_report import report
from tests.benchmarks.live_scenes import CASES, Case, endless
from tests.broker.kafka_server import find_broker


async def measure(
    case: Case, all_of_them: Sequence[Contender], scenes: Iterator[Scene], runs: int, paced: float
) -> None:
    """Warm all up, then measure them in turns; latencies for `paced` seconds."""

    def some(count: float) -> list[Scene]:
        return list(itertools.islice(scenes, max(1, round(count))))

    for one in all_of_them:
        for _ in range(2):
            await one.drain(some(case.warm_up * one.share))
    pairs = 2 * sum(one.name == "worker" for one in all_of_them)
    for turn in range(runs):
        # A pair goes forwards in one turn and backwards in the next; the others stay where they are.
        paired = [number ^ (turn % 2) for number in range(pairs)]
        order = [all_of_them[number] for number in (*paired, *range(pairs, len(all_of_them)))]
        drained = {id(one): await one.drain(some(case.drained * one.share)) for one in order}
        beside = {one.guarantee: drained[id(one)][0] for one in order if one.name.startswith("plain")}
        for one in order:
            speed, cpu = drained[id(one)]
            load = (beside[one.guarantee] if one.share == 1.0 else min(beside[one.guarantee], speed)) / 2
            took = await one.latencies(some(load * paced), load)
            cuts = statistics.quantiles(took, n=100)
            one.measured.append(Measured(speed, cpu, load, statistics.median(took), cuts[98]))
            print(f"  {case.name} {turn + 1}/{runs} {one.name}, {one.guarantee}: {one.measured[-1]}", file=sys.stderr)


async def compare(options: argparse.Namespace, bootstrap: str, folder: Path) -> None:
    """Measure each case with processes of its own."""
    scorer = open_scorer(load_settings())
    for case in (case for case in CASES if case.name in options.case):
        chosen = contenders(options.others, options.guarantee, options.polled)
        async with AsyncExitStack() as stack:
            for one in chosen:
                await one.start(stack, bootstrap, folder)
            await measure(case, chosen, endless(case, scorer), options.runs, options.seconds)
        report(case, chosen)


def main() -> None:
    """Bring a broker up, measure, and clear everything away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="turns; figures are medians")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long scenes are sent to measure latency")
    parser.add_argument("--polled", type=int, default=1024, help="records in a poll of the plain loop at most")
    parser.add_argument("--case", nargs="*", default=[case.name for case in CASES])
    parser.add_argument("--guarantee", nargs="*", default=list(GUARANTEES), choices=GUARANTEES)
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

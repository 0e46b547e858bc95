"""`make chaos`: every fault, by seed, on a real broker; ends with 1 where a column that must be zero is not."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from tests.broker.kafka_server import BrokerError
from tests.chaos.cluster import Cluster
from tests.chaos.faults import FAULTS, Fault, find
from tests.chaos.run import Outcome, Size, run
from tests.chaos.table import as_json, for_a_terminal, lines, markdown

_SHOWN = 3
_WIDTH = 150


def main(faults: Sequence[Fault], seeds: Sequence[int], out: Path) -> int:
    """Run the faults by these seeds; print and write the table."""
    # Clients whose broker is killed say so at length.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    outcomes: list[Outcome] = []
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="scenestream-chaos-"))
    try:
        with Cluster(folder) as cluster:
            for seed in seeds:
                for fault in faults:
                    outcomes.append(_one(fault, seed, cluster, out, console))
                    _write(outcomes, out)
    except BrokerError as error:
        console.print(f"make chaos: {error}", style="red", markup=False)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        found = lines(outcomes)
        if found:
            console.print(for_a_terminal(found))
            console.print(f"{out / 'chaos.md'}, {out / 'chaos.json'}", markup=False)
    return int(not all(line.clean for line in found))


def _one(fault: Fault, seed: int, cluster: Cluster, out: Path, console: Console) -> Outcome:
    logs = out / f"{fault.name}-{seed}"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir()
    outcome = asyncio.run(run(fault, seed, Size(), cluster, logs.absolute()))
    what = "clean" if outcome.clean else "FAILED"
    longest = max(outcome.silences, default=0.0)
    console.print(f"{fault.name:20} seed {seed:<4} {what:7} silence {longest:4.1f} s  {fault.says}", markup=False)
    if outcome.clean:
        shutil.rmtree(logs)
    else:
        for line in told(outcome):
            console.print(f"  {line}", markup=False, soft_wrap=True)
        console.print(f"  logs: {logs}; again: make chaos FAULT={fault.name} SEED={seed} RUNS=1", markup=False)
    return outcome


def told(outcome: Outcome) -> list[str]:
    """Return what a person should know of a run that failed."""
    found = list(outcome.troubles)
    for field in fields(outcome.findings):
        entries = getattr(outcome.findings, field.name)
        found += [f"{field.name}: {entry}" for entry in entries[:_SHOWN]]
        if len(entries) > _SHOWN:
            found.append(f"{field.name}: and {len(entries) - _SHOWN} more")
    return found


def _write(outcomes: Sequence[Outcome], out: Path) -> None:
    found = lines(outcomes)
    (out / "chaos.md").write_text(markdown(found))
    (out / "chaos.json").write_text(as_json(found, outcomes))


if __name__ == "__main__":
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description="Faults under load: nothing lost, nothing twice, no row wrong.")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--runs", type=int, default=2, help="how many seeds")
    parser.add_argument("--fault", choices=[fault.name for fault in FAULTS], help="only this one")
    parser.add_argument("--out", type=Path, default=Path("runs/chaos"))
    given = parser.parse_args()
    chosen = FAULTS if given.fault is None else (find(given.fault),)
    sys.exit(main(chosen, range(given.seed, given.seed + given.runs), given.out))

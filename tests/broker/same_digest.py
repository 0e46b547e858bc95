"""`make digest LOG=FILE`: a log through a real Kafka and without one; whether both decide the same, to the byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from demo_live import run, topics_made, worker
from kafka_server import BrokerError

from streams.replay.run_dir import DEAD, DECISIONS, ROWS, TEXTS

COMPARED = (DECISIONS, TEXTS, DEAD, ROWS)


def main(logs: list[str]) -> int:
    """Print both digests and what differs; 1 where anything does."""
    paths = [str(Path(log).absolute()) for log in logs]
    with topics_made() as (folder, environment):
        with worker(environment, folder / "worker.log"):
            run(environment, "replay", *paths, "--target", "kafka", "--out", str(folder / "kafka"))
        run(environment, "replay", *paths, "--out", str(folder / "embedded"))
        return compare(folder / "kafka", folder / "embedded")


def compare(kafka: Path, embedded: Path) -> int:
    """Print how two runs compare; 1 where they differ."""
    for one in (kafka, embedded):
        print(f"{one.name:9}", json.loads((one / "summary.json").read_text())["digest"])  # noqa: T201 - for a person
    differ = [name for name in COMPARED if _bytes(kafka / name) != _bytes(embedded / name)]
    same = [name for name in COMPARED if name not in differ and (kafka / name).exists()]
    print(f"the same to the byte: {', '.join(same) or 'none'}")  # noqa: T201
    if differ:
        print(f"different: {', '.join(differ)}")  # noqa: T201
    return int(bool(differ))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokerError as error:
        sys.exit(f"digest: {error}")
    except subprocess.CalledProcessError as error:
        # The command has said why.
        sys.exit(error.returncode)

"""`make demo-live` as a program, and what it decided beside a run without Kafka."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from demo_live import LOGS, ask
from kafka_server import Broker, BrokerError, free_port
from same_digest import compare

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAM = str(Path(sys.executable).with_name("scenestream"))


def test_it_shows_everything_and_leaves_nothing_behind(broker: Broker, tmp_path: Path) -> None:
    """The broker is the tests' own where there is one already; else the demo starts one, as for a person."""
    del broker
    before = ours()
    told = subprocess.run(
        [sys.executable, str(HERE / "demo_live.py"), str(tmp_path / "kafka")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    lines = told.stdout.splitlines()
    assert lines[0].startswith("Kafka at 127.0.0.1:")
    shown = {line.split()[0] for line in lines if line}
    assert {"outcome", "ready", "withheld", "reasoning", "feedback"} <= shown
    assert "420 scenes in" in told.stdout
    assert re.fullmatch(r"dashboard: http://127\.0\.0\.1:\d+/", lines[-1])
    assert ours() == before
    logs = [str(ROOT / "examples" / log) for log in LOGS]
    subprocess.run([PROGRAM, "replay", *logs, "--out", str(tmp_path / "embedded")], check=True, capture_output=True)
    assert compare(tmp_path / "kafka", tmp_path / "embedded") == 0
    kafka, embedded = (json.loads((tmp_path / one / "summary.json").read_text()) for one in ("kafka", "embedded"))
    assert (kafka["digest"], kafka["models"]) == (embedded["digest"], embedded["models"])


def test_a_dashboard_that_does_not_answer_is_not_named() -> None:
    with pytest.raises(BrokerError, match="the dashboard does not answer at "):
        ask(f"http://127.0.0.1:{free_port()}/")


def ours() -> set[str]:
    """Return the processes of this environment: programs, and the brokers that they start."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if ("scenestream" in command or "kafka.Kafka" in command) and folder.name != str(os.getpid()):
            found.add(folder.name)
    return found

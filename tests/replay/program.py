"""Starts `scenestream` as a user does: a process of its own, and a run's directory to look at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PROGRAM = Path(sys.executable).with_name("scenestream")
# Each verdict and each route is in these.
LOGS = tuple(EXAMPLES / name for name in ("evenings.jsonl", "night_shift.jsonl.gz", "scenes.jsonl", "sceny_ru.jsonl"))
SPOILT = "shattered,offtopic,generic,echo:0.4"


def settings_of(max_batch: int, open_scenes: int, **gate: object) -> dict[str, str]:
    """Return the environment for a run with these batches and this gate."""
    told = {"SCENESTREAM_MODELS__MAX_BATCH": str(max_batch), "SCENESTREAM_REPLAY__OPEN_SCENES": str(open_scenes)}
    return told | {f"SCENESTREAM_GATE__{name.upper()}": str(value) for name, value in gate.items()}


def start(*arguments: object, settings: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program to its end and return what it said."""
    command = [str(PROGRAM), *map(str, arguments)]
    environment = {**os.environ, **(settings or {})}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def replay(run: Path, *arguments: object, settings: Mapping[str, str] | None = None) -> Path:
    """Replay into `run` and return it; a run that fails, or says anything beside its summary, is an error."""
    done = start("replay", *arguments, "--out", run, "--json", settings=settings)
    assert (done.returncode, done.stderr) == (0, "")
    return run

"""entrance + tremor + vagueness does not excite; the bridge offers step + tension + morning; the chain comes alive."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from streams.cli.configured import load_settings
from streams.cli.wiring import artifacts_of
from tools.readme import WORKED_EXAMPLE as CONTEXT

ROOT = Path(__file__).parents[2]
CHAIN = "вход + дрожь + неясность"
ALIVE = ["step", "tension", "morning"]


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory") / "mornings"
    run("memory", "build", str(ROOT / "examples" / "mornings.jsonl"), "--texts", "--out", str(folder))
    return folder


def run(*arguments: str, settings: Mapping[str, str] | None = None) -> str:
    program = Path(sys.executable).parent / "scenestream"
    environment = {**os.environ, "COLUMNS": "100", **(settings or {})}
    done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def explain(memory: Path, *context: str, settings: Mapping[str, str] | None = None) -> list[dict[str, object]]:
    said = [word for text in context for word in ("--context", text)]
    told = run("explain", "--json", "--memory", str(memory), "--chain", CHAIN, *said, settings=settings)
    return [json.loads(line) for line in told.splitlines()]


def codes(decision: dict[str, object]) -> list[str]:
    chain = decision["chain"]
    assert isinstance(chain, list)
    return [code["code"] for code in chain]


def test_it_comes_alive_in_its_context(memory: Path) -> None:
    fresh, healed = explain(memory, *CONTEXT)
    assert (fresh["verdict"], codes(fresh)) == ("analogue", ["entrance", "tremor", "vagueness"])
    assert (healed["verdict"], healed["rule"], codes(healed)) == ("ready", "bridged.gains", ALIVE)
    healing = healed["healing"]
    assert isinstance(healing, dict)
    assert (healing["source"], healing["strength"]) == ("authored", "full")
    assert {(swap["old"], swap["new"]) for swap in healing["swaps"]} == {
        ("entrance", "step"),
        ("tremor", "tension"),
        ("vagueness", "morning"),
    }


def test_it_does_not_where_nobody_wakes(memory: Path) -> None:
    last = explain(memory, "I would like to book a table for two.")[-1]
    assert codes(last) != ALIVE


def test_without_its_line_the_outcome_changes(memory: Path, tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    shutil.copytree(artifacts_of(load_settings()), artifacts)
    authored = artifacts / "analogues.tsv"
    lines = authored.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("entrance + tremor + vagueness\t")]
    assert len(kept) == len(lines) - 1
    authored.write_text("".join(kept), encoding="utf-8")
    last = explain(memory, *CONTEXT, settings={"SCENESTREAM_MODELS__ARTIFACTS_FOLDER": str(artifacts)})[-1]
    assert codes(last) != ALIVE
    assert last["verdict"] != "ready"


def test_random_triples_stand_beside_it(memory: Path) -> None:
    said = [word for text in CONTEXT for word in ("--context", text)]
    told = run("explain", "--memory", str(memory), "--chain", CHAIN, *said)
    words = " ".join(told.replace("│", " ").split())
    assert "of 200 random chains as long, 0.0% gain as much" in words
    assert "authored in analogues.tsv, not found by geometry" in words

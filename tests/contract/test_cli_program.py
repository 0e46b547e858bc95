"""The program as it is installed: what only another process shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.app import app

PROGRAM = Path(sys.executable).with_name("scenestream")


def started(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False)


def test_scores_come_on_stdout_and_complaints_on_stderr() -> None:
    line = json.dumps({"id": "a", "context": ["Is the floor cold?"], "draft": "As ice. Sit on something warm."})
    ran = started("score", "-", stdin=f"{line}\nno json\n")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["id"] == "a"
    assert ran.stderr.startswith("stdin:2: broken_json")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_it(shell: str) -> None:
    ran = started("--show-completion", shell)
    assert ran.returncode == 0
    assert "scenestream" in ran.stdout


@pytest.mark.parametrize(
    "command",
    [
        (), ("replay",), ("score",), ("explain",), ("topology",), ("doctor",), ("models",), ("models", "info"),
        ("models", "build"), ("models", "check"), ("memory",), ("memory", "build"), ("memory", "info"), ("priors",),
        ("priors", "fold"),
    ],
)  # fmt: skip
def test_every_command_says_what_it_is_for(command: tuple[str, ...]) -> None:
    told = CliRunner().invoke(app, [*command, "--help"])
    assert told.exit_code == 0
    assert "Usage" in told.output

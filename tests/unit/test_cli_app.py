"""The program loads what a command needs and nothing else, and knows whose words it may tell a person."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from typer.main import get_command

from streams.cli.app import COMMANDS, EXPECTED, GROUPS, app, is_expected
from streams.replay.reader import LogError

LOADED = """
import sys
from typer.main import get_command
from streams.cli.app import app
command = get_command(app).commands["worker"]
print(*sys.modules)
"""


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_is_told_without_a_traceback_is_an_error_that_exists(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(import_module(module), kind), Exception)


def test_a_kind_of_an_expected_error_is_expected_and_no_other() -> None:
    class OfAKindError(LogError):
        pass

    assert is_expected(OfAKindError("where"))
    assert not is_expected(ValueError("what"))


def test_a_worker_does_not_load_what_it_has_no_use_for() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "streams.cli" in loaded
    assert not loaded & {"streams.ops.dashboard", "streams.ops.lag", "streams.replay", "plotly", "jinja2"}
    # Faust is loaded while the models are opened.
    assert "faust" not in loaded


def test_every_command_is_where_its_name_says() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert list(commands) == [*COMMANDS, *GROUPS]
    assert all(command.name == name and command.help for name, command in commands.items())
    assert commands.get("no such") is None

"""The program loads what a command needs and nothing else, and knows whose words it may tell a person."""

from __future__ import annotations

import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from command_line import Shell
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


@pytest.mark.parametrize(
    "told",
    [
        "replay log.jsonl",
        "score drafts.jsonl",
        "explain --chain step --context word",
        "models info",
        "worker",
        "dashboard",
        "lag",
        "offsets reset group --to latest",
        "topics create",
        "topics check",
        "dead list",
        "dead show scenes.dead:0:1",
        "dead redrive",
        "feedback dialogue 1 --accepted",
        "export --since 1h --out log.jsonl",
    ],
)
def test_settings_that_are_wrong_are_told_in_words_whatever_was_asked(
    told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "scenestream.toml").write_text('[gate]\nmode = "lenient"\n[kafka]\nbootstrap_server = "here:9092"\n')
    ran = Shell(monkeypatch, capsys, tmp_path).run(*told.split())
    assert ran.code == 2
    lines = ran.err.splitlines()
    assert lines[0].startswith("scenestream: setting gate.mode: Input should be 'strict'")
    assert lines[1].startswith("scenestream: setting kafka.bootstrap_server: ")


@pytest.mark.parametrize(
    "name", ["session_timeout_seconds", "rebalance_timeout_seconds", "transaction_timeout_seconds"]
)
def test_times_that_kafka_has_no_number_for_are_told_in_words(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "scenestream.toml").write_text(f"[kafka]\n{name} = 3_000_000\n")
    ran = Shell(monkeypatch, capsys, tmp_path).run("worker")
    assert ran.code == 2
    assert ran.err.startswith(f"scenestream: setting kafka.{name}: ")


@pytest.mark.parametrize(("command", "advice"), [("worker", "its own --port"), ("dashboard", "another --port")])
def test_who_finds_its_port_taken_is_told_to_take_another(
    command: str, advice: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran = Shell(monkeypatch, capsys, tmp_path).run(command, "--port", port)
    assert ran.code == 2
    assert ran.err.startswith(f"scenestream: cannot listen at 127.0.0.1:{port}: ")
    assert advice in ran.err
    assert len(ran.err.splitlines()) == 1

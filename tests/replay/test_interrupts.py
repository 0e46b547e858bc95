"""Ctrl-C and closed pipes: what was done is written and counted, and nobody is shown a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from command_line import Shell

from schemas.decision import Decision
from schemas.scene import Scene
from streams.cli.interrupts import ended_like_ctrl_c, held_back, plain_death
from streams.replay.run_dir import RunWriter
from tests.replay.program import EXAMPLES, PROGRAM
from tests.replay.run_contract import check_run, summary_of

WAIT_SECONDS = 60


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_run_that_is_ended_has_what_was_done_written(tmp_path: Path, how: signal.Signals) -> None:
    command = [str(PROGRAM), "replay", "-", "--out", str(tmp_path / "run"), "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdin is not None
        run.stdin.write((EXAMPLES / "evenings.jsonl").read_bytes())
        run.stdin.flush()
        # The log goes on, for all that the program knows: it waits for more.
        decisions = tmp_path / "run" / "decisions.jsonl"
        until = time.monotonic() + WAIT_SECONDS
        while not (decisions.exists() and decisions.stat().st_size) and time.monotonic() < until:
            time.sleep(0.02)
        run.send_signal(how)
        run.send_signal(how)
        out, err = run.communicate(timeout=WAIT_SECONDS)
    assert (run.returncode, err) == (130, b"")
    check_run(tmp_path / "run")
    summary = summary_of(tmp_path / "run")
    assert summary == json.loads(out)
    assert summary["interrupted"] is True
    assert summary["scenes"] > 0


@pytest.mark.parametrize("arguments", [("score", "-"), ("memory", "build", "-", "--out", "base")])
def test_ctrl_c_while_nothing_comes_ends_the_program(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [PROGRAM, *arguments], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        time.sleep(2)
        run.send_signal(signal.SIGINT)
        assert run.wait(WAIT_SECONDS) in {130, -signal.SIGINT}
        assert run.stderr is not None
        assert run.stderr.read() == b""


@pytest.mark.parametrize("arguments", [("score", EXAMPLES / "score.jsonl"), ("models", "info", "--codes")])
def test_who_reads_no_further_is_no_failure(arguments: tuple[object, ...]) -> None:
    with subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait(WAIT_SECONDS) == 0


def test_progress_that_is_told_last_is_what_was_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Ctrl-C comes while a scene is written, so it is heard before the scene is told of."""
    write = RunWriter.scene

    def interrupted(writer: RunWriter, scene: Scene, decisions: Iterable[Decision]) -> None:
        write(writer, scene, decisions)
        if writer.scenes == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(RunWriter, "scene", interrupted)
    log = EXAMPLES / "evenings.jsonl"
    ran = Shell(monkeypatch, capsys, tmp_path).run("replay", log, "--out", "run", "--progress", "json")
    assert ran.code == 130
    summary = summary_of(tmp_path / "run")
    assert (summary["interrupted"], summary["scenes"]) == (True, 3)
    assert json.loads(ran.err.splitlines()[-1])["progress"]["scenes"] == 3


@pytest.mark.parametrize(("code", "taken_down"), [(130, False), (0, True), (2, True)])
def test_after_ctrl_c_nothing_is_taken_down_around_threads_that_are_busy(code: int, *, taken_down: bool) -> None:
    """A model whose thread comes back to an interpreter that is no more would end the process with SIGABRT."""
    lines = (
        "import atexit, sys, streams.cli as cli",
        "atexit.register(print, 'taken down')",
        f"cli.main = lambda: (print('said', end=' '), sys.exit({code}))",
        "cli.program()",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.split(maxsplit=1) == (["said", "taken down\n"] if taken_down else ["said"])


def test_a_closed_stdin_is_told(tmp_path: Path) -> None:
    command = f"exec '{PROGRAM}' replay - --out '{tmp_path / 'run'}' <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    assert done.returncode == 2
    assert done.stderr == "scenestream: cannot read stdin: it is closed; pipe a log into it\n"


def test_what_belongs_together_is_done_before_ctrl_c_is_heard() -> None:
    done = []

    def write() -> None:
        with held_back():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == ["all"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_is_heard_like_ctrl_c_and_only_where_a_run_is_written() -> None:
    done = []

    def write() -> None:
        with ended_like_ctrl_c(), held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == ["all"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_who_switched_ctrl_c_off_is_not_interrupted() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for guard in (held_back, plain_death):
            with guard():
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

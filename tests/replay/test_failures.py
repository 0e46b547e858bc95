"""What a person can put right is told in a line on stderr with exit code 2, and nothing of theirs is touched."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from models.encoder.store import RECIPES
from streams.cli.wiring import artifacts_of
from streams.settings import Settings
from tests.command_line import Ran, Shell
from tests.replay.program import EXAMPLES, PROGRAM
from tests.replay.run_contract import check_run

SCENES = EXAMPLES / "scenes.jsonl"


def told(ran: Ran, *words: str) -> None:
    """Assert that the program failed in one line that has these words in it."""
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("scenestream: ")
    assert ran.err.count("\n") == 1
    assert "; " in ran.err or ". " in ran.err, "what, and what to do"
    for word in words:
        assert word in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--limit", "-1"), ("--limit", "many"), ("--spoil", "echo"), ("--spoil", "echo:2"), ("--spoil", "echo:nan"),
        ("--spoil", "burnt:0.5"), ("--seed", "x"), ("--frobnicate",),
    ],
)  # fmt: skip
def test_wrong_options_are_named(shell: Shell, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = shell.run("replay", SCENES, "--out", "run", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert arguments[0] in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "run").exists()


def test_logs_are_looked_for_before_anything_is_done(shell: Shell, tmp_path: Path) -> None:
    told(shell.run("replay", SCENES, "nowhere.jsonl", "--out", "run"), "nowhere.jsonl")
    told(shell.run("replay", tmp_path, "--out", "run"), "a folder")
    told(shell.run("score", "nowhere.jsonl"), "nowhere.jsonl")
    assert not (tmp_path / "run").exists()


def test_a_directory_of_others_is_left_as_it_is(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("1")
    told(shell.run("replay", SCENES, "--out", "thesis", "--json"), "chapter.txt", "choose another --out")
    assert [file.name for file in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]
    told(shell.run("replay", SCENES, "--out", "thesis/chapter.txt", "--json"), "chapter.txt")
    told(shell.run("replay", SCENES, "--out", "thesis/chapter.txt/run", "--json"), "chapter.txt/run")
    told(shell.run("replay", SCENES, "--out", "/proc/run", "--json"), "/proc/run")


def test_a_log_in_the_directory_of_the_run_is_not_emptied(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = shutil.copy(SCENES, tmp_path / "logs" / "texts.jsonl")
    told(shell.run("replay", log, "--out", "logs", "--json"), "texts.jsonl", "choose another --out")
    assert Path(log).read_bytes() == SCENES.read_bytes()


@pytest.mark.parametrize("kilobytes", [1, 40, 2000], ids=["decisions", "texts", "report"])
def test_a_full_disk_says_where_it_is_full(tmp_path: Path, kilobytes: int) -> None:
    # A limit on the size of files is what a full disk is to a program, and needs no disk of its own.
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, kilobytes << 10))

    command = [str(PROGRAM), "replay", str(SCENES), "--out", str(tmp_path / "run"), "--json"]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"scenestream: cannot write to {tmp_path / 'run'}: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run" / "report.html").exists(), "half a report looks like a broken one"
    assert (tmp_path / "run" / "summary.json").exists() is (kilobytes == 2000)


@pytest.fixture
def artifacts(shell: Shell, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(artifacts_of(Settings()), tmp_path / "artifacts"))
    shell.set("MODELS__ARTIFACTS_FOLDER", folder)
    return folder


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


SPOIL: list[tuple[str, Callable[[Path], object]]] = [
    ("heads.onnx", _flip),
    ("gain.onnx", lambda path: path.write_bytes(path.read_bytes()[:1000])),
    ("fluency.npy", Path.unlink),
    ("context_tower.onnx", lambda path: shutil.copy(path.with_name("reply_tower.onnx"), path)),
    ("lexicon.tsv", lambda path: path.write_bytes(b"")),
    ("analogues.tsv", lambda path: path.write_bytes(b"\xff")),
    ("decomposition.dry.onnx_adapter", lambda path: path.write_bytes(b"x")),
    ("manifest.json", lambda path: path.write_text("{")),
]


@pytest.mark.parametrize(("name", "spoil"), SPOIL, ids=[name for name, _ in SPOIL])
def test_a_model_that_is_corrupt_foreign_or_gone_is_named(
    shell: Shell, tmp_path: Path, artifacts: Path, name: str, spoil: Callable[[Path], object]
) -> None:
    spoil(artifacts / name)
    told(shell.run("replay", SCENES, "--out", "run", "--json"), name, "make models")
    assert not (tmp_path / "run").exists()


def test_a_corrupt_encoder_is_built_again(shell: Shell, tmp_path: Path) -> None:
    known = Settings().models.cache_folder / RECIPES["cpu"]
    mine = Path(shutil.copytree(known, tmp_path / "cache" / known.name))
    shell.set("MODELS__CACHE_FOLDER", tmp_path / "cache")
    _flip(mine / "model.onnx")
    assert shell.run("score", EXAMPLES / "score.jsonl").code == 0
    assert (mine / "model.onnx").read_bytes() == (known / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MODELS__MAX_BATCH", "0", "models.max_batch"),
        ("MODELS__PROVIDER", "tpu", "models.provider"),
        ("GATE__THETA0", "nan", "gate.theta0"),
        ("GATE__THRESHOLD", "1", "gate.threshold"),
        ("GATE_MODE", "off", "SCENESTREAM_GATE_MODE"),
        ("MODELS", "{cpu", "models"),
        ("PRIORS", "nowhere.json", "nowhere.json"),
        ("MEMORY", "nowhere", "nowhere"),
        ("MODELS__ENCODER_FOLDER", "nowhere", "nowhere"),
    ],
)
def test_a_wrong_variable_is_named(shell: Shell, name: str, value: str, says: str) -> None:
    shell.set(name, value)
    told(shell.run("replay", SCENES, "--out", "run", "--json"), says)
    if name != "MODELS__ENCODER_FOLDER":
        doctor = shell.run("doctor", "--json")
        assert doctor.code == 1
        assert says in doctor.out


@pytest.mark.parametrize("data", [b"[gate\n", b"# caf\xe9\n", b"[gate]\nnope = 1\n", b"gate = 3\n"])
def test_a_settings_file_that_is_none_is_named(shell: Shell, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "scenestream.toml").write_bytes(data)
    told(shell.run("replay", SCENES, "--out", "run", "--json"), "scenestream.toml")


def test_a_graphics_card_is_never_done_without_silently(shell: Shell) -> None:
    shell.set("MODELS__PROVIDER", "cuda")
    if "CUDAExecutionProvider" in shell.run("doctor", "--json").out:
        pytest.skip("this machine has one")
    told(shell.run("replay", SCENES, "--out", "run", "--json"), "cuda", "onnxruntime-gpu")


def test_priors_that_are_none_are_named(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "priors.json").write_text(json.dumps({"everyone": "much"}))
    shell.set("PRIORS", tmp_path / "priors.json")
    told(shell.run("replay", SCENES, "--out", "run", "--json"), "priors.json", "priors fold")


def test_a_pipe_is_a_log(shell: Shell, tmp_path: Path) -> None:
    for number, arguments in enumerate((("replay", "--out", "run", "--json"), ("memory", "build", "--out", "base"))):
        reader, writer = os.pipe()
        os.write(writer, SCENES.read_bytes())
        os.close(writer)
        ran = shell.run(*arguments[: 1 + number], f"/dev/fd/{reader}", *arguments[1 + number :])
        os.close(reader)
        assert (ran.code, ran.err) == (0, "")
        assert "30" in ran.out.split(",")[0]
    check_run(tmp_path / "run")


def test_a_log_and_a_folder_may_have_names_that_are_no_utf8(tmp_path: Path) -> None:
    log = os.fsencode(tmp_path) + b"/caf\xe9.jsonl"
    shutil.copy(SCENES, os.fsdecode(log))
    command = [os.fsencode(PROGRAM), b"replay", log, b"--limit", b"2"]
    for more in ([], [b"--out", b"caf\xe9", b"--json"]):
        done = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    for run in (tmp_path / os.fsdecode(b"caf\xe9"), *(tmp_path / "runs").iterdir()):
        check_run(run)


def test_nothing_is_told_to_the_makers_of_the_runtime(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": os.environ["PATH"]}
    assert (
        subprocess.run([str(PROGRAM), "doctor"], env=home, capture_output=True, timeout=120, check=False).returncode < 2
    )
    assert not [*tmp_path.rglob("*onnxruntime*")]

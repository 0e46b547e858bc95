from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from schemas.names import REGISTERS
from tests.command_line import Shell

ARTIFACTS = Path(str(files("models") / "artifacts"))


@pytest.fixture
def copied(shell: Shell, tmp_path: Path) -> Path:
    """A copy of the artifacts that may be damaged."""
    folder = tmp_path / "artifacts"
    shutil.copytree(ARTIFACTS, folder)
    shell.set("MODELS__ARTIFACTS_FOLDER", folder)
    return folder


def test_info_names_every_model_and_whose_data_it_owes(shell: Shell) -> None:
    ran = shell.run("models", "info", "--json")
    told = json.loads(ran.out)
    names = {model["name"] for model in told["models"]}
    assert {"encoder", "heads.onnx", "gain.onnx", "lexicon.tsv", "decomposition.bodily.onnx_adapter"} <= names
    assert all(len(model["sha256"]) == 64 and model["bytes"] > 0 for model in told["models"])
    assert not any(model["replaced"] for model in told["models"])
    assert told["trained_with_this_encoder"] is True
    assert told["metrics"]
    assert told["licences"]
    shown = shell.run("models", "info")
    assert shown.code == 0
    assert "heads.onnx" in shown.out
    assert "CC BY" in shown.out


def test_codes_are_listed_with_russian_label_symbol_and_registers(shell: Shell) -> None:
    lines = [line.split("\t") for line in shell.run("models", "info", "--codes").out.splitlines()]
    assert len(lines) > 2000
    codes = {line[0]: line[1:] for line in lines}
    assert codes["tremor"][0] == "дрожь"
    assert "bodily" in codes["tremor"][2]
    told = shell.run("models", "info", "--codes", "--json").lines()
    assert len(told) == len(lines)
    assert {register for line in told for register in line["registers"]} == set(REGISTERS)


def test_build_builds_once(shell: Shell, tmp_path: Path) -> None:
    shell.set("MODELS__CACHE_FOLDER", tmp_path / "cache")
    first, second = shell.run("models", "build"), shell.run("models", "build")
    assert "built in" in first.out
    assert str(tmp_path / "cache") in first.out
    assert "was built before" in second.out
    shell.set("MODELS__ENCODER_FOLDER", next((tmp_path / "cache").iterdir()))
    assert "nothing to build" in shell.run("models", "build").out


def test_sound_models_pass(shell: Shell) -> None:
    ran = shell.run("models", "check")
    assert (ran.code, ran.err) == (0, "")
    assert "are sound" in ran.out


@pytest.mark.parametrize(
    "name", ["heads.onnx", "gain.onnx", "decomposition.onnx", "decomposition.dry.onnx_adapter", "lexicon.tsv"]
)
@pytest.mark.parametrize("fault", ["missing", "cut", "foreign"])
def test_an_unsound_model_is_one_line_and_exit_code_two(shell: Shell, copied: Path, name: str, fault: str) -> None:
    path = copied / name
    if fault == "missing":
        path.unlink()
    elif fault == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    else:
        path.write_bytes(b"something else")
    ran = shell.run("models", "check")
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert name in ran.err


def test_what_a_person_replaced_is_marked_and_serves(shell: Shell, copied: Path) -> None:
    analogues = copied / "analogues.tsv"
    analogues.write_text("".join(analogues.read_text(encoding="utf-8").splitlines(keepends=True)[:3]), encoding="utf-8")
    told = json.loads(shell.run("models", "info", "--json").out)
    assert [model["name"] for model in told["models"] if model["replaced"]] == ["analogues.tsv"]
    assert shell.run("models", "check").code == 0
    assert shell.run("doctor").code == 0

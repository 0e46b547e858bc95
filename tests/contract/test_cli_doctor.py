from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.cli import checks
from tests.command_line import Ran, Shell


def checked(ran: Ran) -> dict[str, dict[str, str]]:
    told = json.loads(ran.out)
    return {check["what"]: check for check in told["checks"]}


def test_where_a_replay_would_work_it_says_so(shell: Shell) -> None:
    ran = shell.run("doctor")
    assert (ran.code, ran.err) == (0, "")
    assert "a replay works here" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_json_has_a_mark_and_an_advice_for_whatever_is_not_right(shell: Shell) -> None:
    ran = shell.run("doctor", "--json")
    assert json.loads(ran.out)["works"] is True
    for check in checked(ran).values():
        assert check["mark"] == "right" or check["advice"]


def test_what_is_not_built_yet_keeps_nothing_from_working(shell: Shell, tmp_path: Path) -> None:
    shell.set("MODELS__CACHE_FOLDER", tmp_path / "new" / "cache")
    ran = shell.run("doctor", "--json")
    assert ran.code == 0
    assert checked(ran)["encoder"]["mark"] == "optional"
    assert "models build" in checked(ran)["encoder"]["advice"]
    assert not (tmp_path / "new").exists(), "a look changes nothing"


def test_a_missing_model_is_found(shell: Shell, tmp_path: Path) -> None:
    shell.set("MODELS__ARTIFACTS_FOLDER", tmp_path)
    ran = shell.run("doctor", "--json")
    assert ran.code == 1
    assert checked(ran)["models"]["mark"] == "wrong"
    assert "make models" in checked(ran)["models"]["advice"]
    assert "does not work" in shell.run("doctor").out


def test_a_wrong_setting_is_found_and_named(shell: Shell) -> None:
    shell.set("MODELS__MAX_BATCH", "many")
    ran = shell.run("doctor", "--json")
    assert ran.code == 1
    assert "models.max_batch" in checked(ran)["settings"]["value"]


def test_the_settings_file_of_this_folder_is_named(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "scenestream.toml").write_text("[gate]\nalpha = 0.2\n")
    assert str(tmp_path / "scenestream.toml") in checked(shell.run("doctor", "--json"))["settings"]["value"]
    (tmp_path / "scenestream.toml").write_text("[gate\n")
    assert shell.run("doctor", "--json").code == 1


def test_a_cache_that_cannot_be_written_is_found(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    shell.set("MODELS__CACHE_FOLDER", tmp_path / "file" / "cache")
    ran = shell.run("doctor", "--json")
    assert ran.code == 1
    assert checked(ran)["cache"]["mark"] == "wrong"


def test_a_provider_that_is_not_there_is_found(shell: Shell) -> None:
    shell.set("MODELS__PROVIDER", "cuda")
    if "CUDAExecutionProvider" in checked(shell.run("doctor", "--json"))["ONNX Runtime"]["value"]:
        pytest.skip("this machine has it")
    assert checked(shell.run("doctor", "--json"))["ONNX Runtime"]["mark"] == "wrong"


def test_a_memory_base_that_is_none_is_found(shell: Shell, tmp_path: Path) -> None:
    shell.set("MEMORY", tmp_path)
    ran = shell.run("doctor", "--json")
    assert ran.code == 1
    assert checked(ran)["memory"]["mark"] == "wrong"


def test_java_and_maven_serve_the_live_part_alone(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.shutil, "which", lambda _: None)
    ran = shell.run("doctor", "--json")
    assert ran.code == 0
    assert {checked(ran)[what]["mark"] for what in ("Java", "Maven")} == {"optional"}


@pytest.mark.parametrize(
    ("machine", "flags", "told"),
    [
        ("x86_64", {"avx2", "avx512f", "avx512_vnni"}, "with VNNI"),
        ("x86_64", {"avx2", "avx512f"}, "AVX-512, no VNNI"),
        ("x86_64", {"avx2"}, "AVX2, no VNNI"),
        ("x86_64", {"sse2"}, "without AVX2"),
        ("x86_64", set(), "features unknown"),
        ("aarch64", set(), "aarch64"),
    ],
)
def test_the_class_of_the_processor_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, machine: str, flags: set[str], told: str
) -> None:
    monkeypatch.setattr(checks.platform, "machine", lambda: machine)
    monkeypatch.setattr(checks, "cpu_flags", lambda: frozenset(flags))
    assert told in checked(shell.run("doctor", "--json"))["CPU"]["value"]

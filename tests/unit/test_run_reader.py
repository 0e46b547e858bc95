from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import decision, row, scene

from streams.replay.run_dir import RunDirError, RunWriter
from streams.replay.run_reader import find_scene, read_rows, read_summary


def write_run(folder: Path, *, texts: bool = True) -> Path:
    with RunWriter(folder, keep_texts=texts) as writer:
        for turn in (1, 3):
            one = scene(turn)
            writer.scene(one, [decision(scene_id=one.scene_id, turn=turn)])
        writer.finish([row(z=1.5)], {"seed": 7})
    return folder


def test_a_scene_is_found_with_its_words(tmp_path: Path) -> None:
    found = find_scene(write_run(tmp_path / "run"), "d:3")
    assert [one.scene_id for one in found.decisions] == ["d:3"]
    assert found.texts_kept
    assert found.draft == scene().draft
    assert found.context == scene().context


def test_a_scene_reads_back_as_it_was_decided(tmp_path: Path) -> None:
    assert find_scene(write_run(tmp_path / "run"), "d:1").decisions == (decision(scene_id="d:1", turn=1),)


def test_a_run_without_words_says_so(tmp_path: Path) -> None:
    found = find_scene(write_run(tmp_path / "run", texts=False), "d:3")
    assert not found.texts_kept
    assert found.draft is None


@pytest.mark.parametrize(("asked", "told"), [("d", "near it are: d:1, d:3"), ("zzz", "its first ones are: d:1, d:3")])
def test_who_asks_for_a_scene_that_is_not_there_is_told_what_is(tmp_path: Path, asked: str, told: str) -> None:
    with pytest.raises(RunDirError, match=told):
        find_scene(write_run(tmp_path / "run"), asked)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match=r"no decisions\.jsonl"):
        find_scene(tmp_path, "d:1")
    with pytest.raises(RunDirError, match="no such file"):
        find_scene(tmp_path / "nowhere", "d:1")
    with pytest.raises(RunDirError, match=r"no summary\.json"):
        read_summary(tmp_path)


@pytest.mark.parametrize("line", ["{broken", "[1]", json.dumps({"scene_id": "d:9", "verdict": "ready"})])
def test_a_damaged_run_is_told_from_one_without_the_scene(tmp_path: Path, line: str) -> None:
    folder = write_run(tmp_path / "run")
    with (folder / "decisions.jsonl").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(RunDirError, match="replay the log again"):
        find_scene(folder, "d:9")


def test_rows_and_summary_read_back(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    assert list(read_rows(folder)) == [row(z=1.5)]
    assert read_summary(folder)["seed"] == 7

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from builders import TERMS

from streams.replay.accepted import Tally, read_accepted, read_labels


def chat(name: str, *ratings: object) -> dict[str, object]:
    messages: list[dict[str, object]] = []
    for number, rating in enumerate(ratings):
        messages.append({"role": "user", "content": f"question {number}"})
        answer: dict[str, object] = {"role": "assistant", "content": f"answer {number}"}
        messages.append(answer if rating is None else answer | {"rating": rating})
    return {"id": name, "messages": messages}


def write(path: Path, lines: Iterable[object]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def accepted(logs: list[str], min_rating: float = 0.5) -> tuple[list[str], Tally]:
    tally = Tally()
    labels = read_labels(logs, TERMS, 32, min_rating)
    return [scene.scene_id for scene in read_accepted(logs, TERMS, 32, labels, tally)], tally


def test_without_ratings_every_turn_counts_as_accepted(tmp_path: Path) -> None:
    found, tally = accepted([write(tmp_path / "log", [chat("a", None, None)])])
    assert found == ["a:1", "a:3"]
    assert (tally.scenes, tally.accepted) == (2, 2)


def test_with_ratings_only_those_rated_well(tmp_path: Path) -> None:
    found, tally = accepted([write(tmp_path / "log", [chat("a", "up", "down", None, 0.5, 0.49)])])
    assert found == ["a:1", "a:7"]
    assert (tally.scenes, tally.accepted) == (5, 2)


@pytest.mark.parametrize(("least", "expected"), [(0.9, []), (0.7, ["a:3"]), (0.1, ["a:1", "a:3"])])
def test_how_good_is_good_enough_can_be_said(tmp_path: Path, least: float, expected: list[str]) -> None:
    assert accepted([write(tmp_path / "log", [chat("a", 0.2, 0.8)])], least)[0] == expected


def test_each_log_is_asked_for_itself_whether_it_has_ratings(tmp_path: Path) -> None:
    rated = write(tmp_path / "rated", [chat("a", "up", None)])
    bare = write(tmp_path / "bare", [chat("b", None)])
    assert accepted([rated, bare])[0] == ["a:1", "b:1"]


def test_late_feedback_counts_the_first_of_it_and_from_another_file_too(tmp_path: Path) -> None:
    scenes = write(
        tmp_path / "scenes",
        [{"type": "scene", "dialogue_id": "d", "turn": turn, "draft": f"words {turn}"} for turn in range(3)],
    )
    labels = [(0, False), (1, True), (1, False), (0, True)]
    feedback = write(
        tmp_path / "feedback",
        [{"type": "feedback", "dialogue_id": "d", "turn": turn, "accepted": said} for turn, said in labels],
    )
    assert accepted([scenes, feedback])[0] == ["d:1", "d:2"]
    both = tmp_path / "both"
    both.write_bytes(Path(scenes).read_bytes() + Path(feedback).read_bytes())
    assert accepted([str(both)])[0] == ["d:1"]


def test_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    _, tally = accepted([write(tmp_path / "log", [chat("a", None), {"hello": "world"}, 42])])
    assert tally.refused == {"unknown_format": 2}

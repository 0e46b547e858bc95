from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from models.memory import HITS, dialogue_key
from models.situation import context_vector
from schemas.scene import Scene, Utterance
from streams.cli.configured import load_settings
from streams.cli.wiring import open_memory, open_suite
from streams.scoring.scorer import ModelScorer
from tests.command_line import Shell, write_lines

TOPICS = ("ferry", "boiler", "bread", "letter", "garden", "choir")
WORDS = "The key is under the third flowerpot."


def chat(name: str, topic: str, **answer: object) -> dict[str, object]:
    said = [f"Can you help me with the {topic}?", f"Of course. What is it about the {topic}?", f"The {topic} is late."]
    messages: list[dict[str, object]] = [
        {"role": role, "content": text} for role, text in zip(("user", "assistant", "user"), said, strict=True)
    ]
    return {"id": name, "messages": [*messages, {"role": "assistant", "content": f"{WORDS} {topic}", **answer}]}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "log.jsonl", [chat(f"{topic}-{n}", topic) for topic in TOPICS for n in range(4)])


def test_a_base_is_built_and_described(shell: Shell, log: Path, tmp_path: Path) -> None:
    ran = shell.run("memory", "build", log, "--out", tmp_path / "base")
    assert ran.code == 0
    assert "48 of 48 scenes were accepted" in ran.out
    told = json.loads(shell.run("memory", "info", tmp_path / "base", "--json").out)
    assert (told["entries"], told["with_texts"], told["damaged"]) == (48, False, [])
    assert told["fits"] == {"encoder": True, "lexicon": True}
    assert "48 of 384 dimensions" in shell.run("memory", "info", tmp_path / "base").out


def test_words_are_kept_only_where_asked(shell: Shell, log: Path, tmp_path: Path) -> None:
    for flags, kept in (((), False), (("--texts",), True)):
        shell.run("memory", "build", log, "--out", tmp_path / "base", *flags)
        found = any(WORDS.encode() in path.read_bytes() for path in (tmp_path / "base").iterdir())
        assert found is kept


def test_the_same_log_gives_the_same_base_from_file_or_stdin_whatever_the_batch(
    shell: Shell, log: Path, tmp_path: Path
) -> None:
    shell.run("memory", "build", log, "--out", tmp_path / "one", "--texts")
    shell.set("MODELS__ENCODER_BATCH", 3)
    shell.run("memory", "build", "-", "--out", tmp_path / "two", "--texts", stdin=log.read_bytes())
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_only_what_was_rated_well_is_remembered(shell: Shell, tmp_path: Path) -> None:
    lines = [chat("a", "ferry", rating="down"), chat("b", "bread", rating=0.6), chat("c", "choir")]
    log = write_lines(tmp_path / "log.jsonl", lines)
    assert "1 of 6 scenes" in shell.run("memory", "build", log, "--out", tmp_path / "base").out
    ran = shell.run("memory", "build", log, "--out", tmp_path / "base", "--min-rating", "0.9")
    assert ran.code == 1
    assert "an empty base" in ran.err


def test_lines_that_cannot_be_read_are_counted(shell: Shell, tmp_path: Path) -> None:
    log = write_lines(tmp_path / "log.jsonl", [chat("a", "ferry"), {"hello": "world"}])
    assert "1 could not be read (unknown_format 1)" in shell.run("memory", "build", log, "--out", tmp_path / "b").out


def test_a_scene_never_finds_its_own_dialogue(shell: Shell, log: Path, tmp_path: Path) -> None:
    shell.run("memory", "build", log, "--out", tmp_path / "base", "--texts")
    settings = load_settings(memory=tmp_path / "base")
    suite = open_suite(settings)
    memory = open_memory(settings, suite)
    assert memory is not None
    scorer = ModelScorer(suite, memory, settings.gate.codes)
    for line in log.read_text(encoding="utf-8").splitlines()[::5]:
        dialogue = json.loads(line)
        said = [Utterance(role=one["role"], text=one["content"]) for one in dialogue["messages"]]
        own = Scene(dialogue_id=dialogue["id"], turn=3, context=tuple(said[:3]), draft=said[3].text)
        other = own.model_copy(update={"dialogue_id": "somebody-else"})
        encoded = scorer.encode([own, other])
        contexts = np.stack([context_vector(one.situation) for one in encoded])
        hits = memory.search(contexts, [own.dialogue_id, other.dialogue_id])
        mine = np.uint64(dialogue_key(dialogue["id"]))
        assert (hits.positions >= 0).sum(axis=1).tolist() == [HITS, HITS]
        assert mine not in hits.dialogues[0]
        assert mine in hits.dialogues[1]


def test_a_replay_of_the_very_log_finds_others_only(shell: Shell, tmp_path: Path) -> None:
    # Two dialogues alike: all that either can be reminded of is the other.
    lines = [chat("first", "ferry"), chat("second", "ferry")]
    for line, words in zip(lines, ("Alpha said this.", "Omega said this."), strict=True):
        line["messages"][3]["content"] = words
    log = write_lines(tmp_path / "log.jsonl", lines)
    shell.run("memory", "build", log, "--out", tmp_path / "base", "--texts")
    shell.set("GATE__THETA0", "1.0")
    shell.set("GATE__INTENT_MIN", "1.0")
    ran = shell.run("replay", log, "--out", tmp_path / "run", "--memory", tmp_path / "base", "--no-progress")
    assert ran.code == 0
    replies = {}
    for line in (tmp_path / "run" / "decisions.jsonl").read_text(encoding="utf-8").splitlines():
        decision = json.loads(line)
        if decision["healing"] is not None and decision["turn"] == 3:
            replies[decision["dialogue_id"]] = decision["healing"]["nearest_reply"]
    assert set(replies) == {"first", "second"}
    assert replies["first"] != "Alpha said this."
    assert replies["second"] != "Omega said this."
    assert {*replies.values()} == {"Alpha said this.", "Omega said this."}


@pytest.mark.parametrize("fault", ["missing", "damaged", "foreign"])
def test_a_base_that_will_not_do_is_refused(shell: Shell, log: Path, tmp_path: Path, fault: str) -> None:
    base = tmp_path / "base"
    shell.run("memory", "build", log, "--out", base)
    if fault == "missing":
        (base / "manifest.json").unlink()
    elif fault == "damaged":
        with (base / "contexts.npy").open("r+b") as stream:
            stream.seek(-4, 2)
            stream.write(b"abcd")
    else:
        manifest = json.loads((base / "manifest.json").read_text())
        (base / "manifest.json").write_text(json.dumps(manifest | {"encoder_sha256": "0" * 64}))
    assert shell.run("memory", "info", base).code == (2 if fault == "missing" else 1)
    ran = shell.run("score", "-", "--memory", base)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert "memory build" in ran.err


def test_a_folder_that_holds_something_else_is_left_alone(shell: Shell, log: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    ran = shell.run("memory", "build", log, "--out", tmp_path / "mine")
    assert ran.code == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"

from __future__ import annotations

import json
from pathlib import Path

from schemas.decision import Decision
from streams.settings import Settings
from streams.stages.policy import Priors
from tests.command_line import Shell, write_lines


def rated_log(path: Path, ratings: dict[str, str]) -> Path:
    lines = []
    for user, rating in ratings.items():
        messages: list[dict[str, object]] = []
        for number in range(6):
            messages.append({"role": "user", "content": f"Is there a ferry on day {number}?"})
            answer = f"Yes, on day {number} there is a ferry at nine."
            messages.append({"role": "assistant", "content": answer, "rating": rating})
        lines.append({"id": f"of-{user}", "user_id": user, "task": "booking", "messages": messages})
    return write_lines(path, lines)


def test_what_users_taught_a_run_is_where_the_next_one_begins(shell: Shell, tmp_path: Path) -> None:
    log = rated_log(tmp_path / "log.jsonl", {"ann": "down", "ben": "down"})
    run, out = tmp_path / "run", tmp_path / "priors" / "priors.json"
    assert shell.run("replay", log, "--out", run, "--no-progress").code == 0
    ran = shell.run("priors", "fold", run, "--out", out)
    assert ran.code == 0
    assert "booking" in ran.out
    priors = Priors.model_validate_json(out.read_bytes())
    assert priors.version == 1
    assert priors.tasks["booking"] > 0, "who rejects everything is asked for more"

    shell.set("PRIORS", out)
    again = tmp_path / "again"
    assert shell.run("replay", log, "--out", again, "--no-progress").code == 0
    first = Decision.model_validate_json((again / "decisions.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first.threshold == round(Settings().gate.theta0 + priors.tasks["booking"], 4)
    assert json.loads((again / "summary.json").read_text())["priors"]["version"] == 1
    assert shell.run("priors", "fold", again, "--out", out).code == 0
    assert Priors.model_validate_json(out.read_bytes()).version == 2


def test_a_run_without_labels_teaches_nothing(shell: Shell, tmp_path: Path) -> None:
    said = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello. How can I help?"}]
    log = write_lines(tmp_path / "log.jsonl", [{"id": "a", "messages": said}])
    shell.run("replay", log, "--out", tmp_path / "run", "--no-progress")
    ran = shell.run("priors", "fold", tmp_path / "run", "--out", tmp_path / "priors.json")
    assert ran.code == 1
    assert "no row holds a label" in ran.out


def test_what_is_no_run_is_one_line(shell: Shell, tmp_path: Path) -> None:
    ran = shell.run("priors", "fold", tmp_path, "--out", tmp_path / "priors.json")
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "priors.json").exists()


def test_a_file_that_holds_no_priors_is_left_alone(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    ran = shell.run("priors", "fold", tmp_path, "--out", tmp_path / "thesis.txt")
    assert ran.code == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"

"""The contract of a run's directory, held against the files alone: what tools may rely on, whatever the log was."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FINAL = {"ready", "withheld", "reasoning"}
FIELDS = {
    "scene_id", "dialogue_id", "user_id", "task", "turn", "attempt", "verdict", "reason", "register", "resonance",
    "parts", "threshold", "chain", "cue", "lineage", "final", "ledger", "risk",
}  # fmt: skip
PARTS = {"intent", "fidelity", "field", "activation", "depth", "tension", "density", "gain"}
SCORES = ("intent", "fidelity", "field", "activation", "depth", "tension", "density", "gain")
ROUTES = {"regenerate": ("regeneration", "regeneration"), "analogue": ("bridge", "bridge")}
MOST_HEALINGS = 2

Line = Mapping[str, Any]


def lines_of(path: Path) -> Iterator[Line]:
    """Yield the objects of a JSONL file; a NaN or an infinity is none."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            assert line.endswith("\n"), f"{path.name} breaks off"
            yield json.loads(line, parse_constant=_refuse)


def summary_of(run: Path) -> Line:
    summary: Line = json.loads((run / "summary.json").read_text("utf-8"), parse_constant=_refuse)
    return summary


def check_run(run: Path) -> None:
    """Assert that the directory is one that the contract describes."""
    check_lines(run)
    for decision in lines_of(run / "decisions.jsonl"):
        assert decision["parts"]["gain"] == (decision["healing"] or {"gain": None})["gain"]
    assert (run / "report.html").stat().st_size > 0


def check_lines(run: Path) -> None:
    """Assert it of all but the report, and of models that know nothing."""
    summary = summary_of(run)
    scenes = _scenes(run)
    for decisions in scenes.values():
        _check_scene(decisions, strict=summary["settings"]["gate"]["mode"] == "strict")
    _check_summary(run, summary, scenes)
    _check_rows(run, summary, len(scenes))
    if (run / "texts.jsonl").exists():
        assert [line["scene_id"] for line in lines_of(run / "texts.jsonl")] == list(scenes)


def _scenes(run: Path) -> dict[str, list[Line]]:
    """Return the decisions of each scene, whose lines stand together in order of attempt."""
    scenes: dict[str, list[Line]] = {}
    last = None
    for decision in lines_of(run / "decisions.jsonl"):
        scene_id = decision["scene_id"]
        assert scene_id == last or scene_id not in scenes, f"{scene_id} comes back after its final decision"
        scenes.setdefault(scene_id, []).append(decision)
        last = scene_id
    return scenes


def _check_scene(decisions: list[Line], *, strict: bool) -> None:
    assert [decision["attempt"] for decision in decisions] == list(range(len(decisions)))
    assert [decision["final"] for decision in decisions] == [False] * (len(decisions) - 1) + [True]
    assert len(decisions) - 1 <= MOST_HEALINGS
    lineage: list[Line] = []
    origin = "fresh"
    for decision in decisions:
        assert decision.keys() >= FIELDS
        assert decision["parts"].keys() == PARTS
        assert decision["final"] == (decision["verdict"] in FINAL)
        assert decision["origin"] == origin
        assert all(code["code"] and code["weight"] >= 0 for code in decision["chain"])
        assert 1 <= len(decision["chain"]) <= 5
        assert 0 <= decision["threshold"] <= 1
        lineage = _check_lineage(decision, lineage)
        _check_verdict(decision)
        _check_ledger(decision["ledger"], strict=strict)
        if decision["verdict"] in ROUTES:
            origin = ROUTES[decision["verdict"]][0]


def _check_lineage(decision: Line, before: list[Line]) -> list[Line]:
    lineage: list[Line] = decision["lineage"]
    assert lineage[: len(before)] == before, "what happened to a scene stays as it was"
    hops = lineage[len(before) :]
    expected = ["resonance"] if decision["attempt"] == 0 else [decision["origin"], "resonance"]
    assert [hop["stage"] for hop in hops] == [
        {"regeneration": "regeneration", "bridge": "bridge"}.get(stage, stage) for stage in expected
    ]
    if "observed" in decision["flags"]:
        assert (decision["verdict"], decision["attempt"], decision["cue"]) == ("ready", 0, None)
    else:
        assert hops[-1]["outcome"] == decision["verdict"]
    assert hops[-1]["rule"] == decision["rule"]
    assert hops[-1]["codes"] == [code["code"] for code in decision["chain"]]
    return lineage


def _check_verdict(decision: Line) -> None:
    """Hold the numbers against the verdict: who shows a threshold goes by it."""
    rule, healed = decision["rule"], decision["healing"] is not None
    assert healed == (decision["attempt"] > 0)
    assert (decision["cue"] is not None) == (healed and decision["verdict"] == "ready")
    assert "\n" not in (decision["cue"] or "")
    gain = decision["healing"]["gain"] if healed else None
    assert (gain is not None) == (decision["origin"] == "bridge")
    judged_by = {"fresh": "resonance", "regeneration": "fidelity", "bridge": "gain"}[decision["origin"]]
    reached = decision[judged_by] if judged_by == "resonance" else decision["healing"][judged_by]
    if rule in {"fresh.resonates", "regenerated.faithful", "bridged.gains"} or rule.startswith("ledger."):
        assert reached >= decision["threshold"]
    else:
        assert reached < decision["threshold"]
    if rule.startswith("ledger."):
        assert rule == f"ledger.{decision['ledger']['account']}"
    assert decision["ledger"]["account"] == ("healed" if healed else "drafts")


def _check_ledger(ledger: Line, *, strict: bool) -> None:
    assert 0 <= ledger["E"] <= ledger["n"] <= ledger["T"]
    assert 0 <= ledger["P"] <= ledger["n"]
    assert ledger["expected"] >= 0
    if strict:
        assert ledger["E"] + ledger["P"] <= ledger["bound"] + 1e-9, "a promise is kept, not aimed at"


def _check_summary(run: Path, summary: Line, scenes: Mapping[str, list[Line]]) -> None:
    decisions = [decision for those in scenes.values() for decision in those]
    ends = [those[-1] for those in scenes.values()]
    dead = list(lines_of(run / "dead.jsonl"))
    assert summary["scenes"] == len(scenes) == sum(summary["final"].values())
    assert summary["final"].keys() == FINAL
    assert {name: count for name, count in summary["final"].items() if count} == Counter(d["verdict"] for d in ends)
    observed = [decision for decision in decisions if "observed" in decision["flags"]]
    assert summary["observed"] == Counter(decision["lineage"][-1]["outcome"] for decision in observed)
    assert summary["by_verdict"] == Counter(decision["verdict"] for decision in decisions)
    assert summary["healed"] == sum(end["cue"] is not None for end in ends) == sum(summary["healed_by"].values())
    assert summary["withheld_by"] == Counter(end["rule"] for end in ends if end["verdict"] == "withheld")
    assert summary["dead"] == len(dead)
    assert summary["dead_by"] == Counter(letter["reason"] for letter in dead)
    for letter in dead:
        assert {"source", "line", "reason", "detail", "raw"} <= letter.keys()
        assert "; " in letter["detail"], "what, and what to do"
        assert "\n" not in letter["detail"]
    assert summary["digest"] == digest_of(decisions)
    assert summary["seconds"] >= 0
    assert summary["scenes_per_second"] >= 0
    for stage in summary["stages"].values():
        assert stage["count"] > 0
        assert 0 <= stage["p50_ms"] <= stage["p99_ms"]
    assert all(len(digest) == 64 for digest in summary["models"].values())


def _check_rows(run: Path, summary: Line, scenes: int) -> None:
    rows = list(lines_of(run / "sensitivity.jsonl"))
    assert len({row["key"] for row in rows}) == len(rows)
    # Ctrl-C finds rows ahead of what is written: their scenes wait for one before them in the log.
    exact = not summary["interrupted"]
    offered = sum(row["offered"] for row in rows)
    assert offered == scenes if exact else offered >= scenes
    strict = summary["settings"]["gate"]["mode"] == "strict"
    for row in rows:
        assert len(row["dialogues"]) <= 32
        waiting = Counter(entry["account"] for entry in row["pending"])
        for name in ("drafts", "healed"):
            account = row[name]
            assert account["pending"] == waiting[name]
            gate = summary["settings"]["gate"]
            alpha = gate["alpha" if name == "drafts" else "alpha_healed"]
            bound = alpha * account["emitted"] + gate["slack"] + gate["rho"] * row["offered"]
            assert not strict or account["errors"] <= bound + 1e-9
    for outcome in ("repeated", "inapplicable"):
        counted = sum(row[outcome] for row in rows)
        assert counted == summary["feedback"].get(outcome, 0) or not exact


def digest_of(decisions: list[Line]) -> str:
    """Return the digest as the contract defines it, written anew: a chain of sha256 a key, the keys sorted."""
    keys: dict[str, str] = defaultdict(str)
    for decision in decisions:
        key = decision["dialogue_id"] if decision["user_id"] is None else decision["user_id"]
        scores = [decision["resonance"], decision["threshold"], decision["risk"]]
        scores += [decision["parts"][name] for name in SCORES]
        told = [
            keys[key], decision["scene_id"], decision["attempt"], decision["verdict"], decision["rule"],
            decision["register"], [code["code"] for code in decision["chain"]],
            [None if score is None else f"{math.copysign(score, 1) if score == 0 else score:z.4f}" for score in scores],
        ]  # fmt: skip
        keys[key] = hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()
    return hashlib.sha256(json.dumps(sorted(map(list, keys.items())), separators=(",", ":")).encode()).hexdigest()


def _refuse(name: str) -> object:
    raise AssertionError(f"{name} is no JSON")

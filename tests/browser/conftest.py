"""The page's tests: Chromium, a dashboard over three runs, and what the broker's tests stand on (some watch Kafka)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import fake_runs
import pytest
from playwright.sync_api import Browser

from schemas.names import Verdict
from schemas.sensitivity import Account, Sensitivity
from streams.replay.report import write_report

_TESTS = Path(__file__).parents[1]
sys.path += [str(_TESTS / "broker"), str(_TESTS / "contract"), str(Path(__file__).parent)]

from chromium import chromium  # noqa: E402 - found by the lines above
from dashboards import Dashboard  # noqa: E402 - the same


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    decisions = fake_runs.decisions_of(400)
    hostile = [
        one.model_copy(
            update={"task": fake_runs.HOSTILE, "rule": f"{one.rule}{fake_runs.HOSTILE}", "reason": fake_runs.HOSTILE}
        )
        for one in decisions
    ]
    runs = {
        "plain": fake_runs.write_run(folder / "plain", decisions, dead=fake_runs.some_dead()),
        "hostile": fake_runs.write_run(
            folder / "hostile", hostile, words=fake_runs.HOSTILE, dead=fake_runs.some_dead()
        ),
    }
    # The same scenes but the first nine, and where the first thirty said something, silence.
    silenced = {one.scene_id for one in [one for one in decisions if one.final and one.verdict is Verdict.READY][:30]}
    gone = list(dict.fromkeys(one.scene_id for one in decisions))[:9]
    changed = [
        one.model_copy(update={"verdict": Verdict.WITHHELD, "rule": "ledger.drafts"})
        if one.final and one.scene_id in silenced
        else one
        for one in decisions
        if one.scene_id not in gone
    ]
    runs["other"] = fake_runs.write_run(folder / "other", changed)
    (runs["other"] / "sensitivity.jsonl").write_text("")
    write_report(runs["plain"])
    (runs["plain"] / "sensitivity.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row in some_rows()))
    (runs["hostile"] / "sensitivity.jsonl").write_text("")
    return runs


def some_rows() -> Iterator[Sensitivity]:
    """Rows of three tasks, some with more errors than were promised."""
    for number in range(24):
        drafts = Account(
            emitted=2 * number,
            errors=number // 2,
            pending=number % 5,
            expected=0.31 * (number % 5),
            labelled_risk=0.2 * number,
            labelled=2 * number,
        )
        healed = Account(emitted=number, errors=number // 5, pending=1, expected=0.4, labelled_risk=0.3, labelled=1)
        task = ("support", "booking", None)[number % 3]
        yield Sensitivity(key=f"u{number}", task=task, offered=5 * number, drafts=drafts, healed=healed)


@pytest.fixture(scope="module")
def shown(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    options = [part for folder in folders.values() for part in ("--run", str(folder))]
    with Dashboard(tmp_path_factory.mktemp("cwd"), *options) as dashboard:
        yield dashboard

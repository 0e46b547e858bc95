from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from builders import scene
from contract.fake_scorer import FakeScorer
from test_partition_runner import Record

from streams.kafka.records import Received
from streams.kafka.wire import encode
from streams.settings import Settings
from tests.benchmarks.live_contender import Contender, Measured
from tests.benchmarks.live_report import report
from tests.benchmarks.live_scenes import CASES, fresh
from tests.benchmarks.live_work import work_of


def measured(name: str, *figures: Measured) -> Contender:
    one = Contender(name, "at_least_once", ())
    one.measured.extend(figures)
    return one


def test_the_table_says_plainly_which_targets_are_met(capsys: pytest.CaptureFixture[str]) -> None:
    plain = measured("plain aiokafka", Measured(1000, 0.8, 500, 40, 100), Measured(500, 0.9, 250, 80, 300))
    worker = measured("worker", Measured(910, 0.9, 500, 60, 120), Measured(460, 0.9, 250, 120, 390))
    report(CASES[0], [plain, worker])
    said = capsys.readouterr().out.splitlines()
    assert [line[:14].strip() for line in said[-3:]] == ["target met", "TARGET MISSED", "target met"]
    assert "throughput 0.92 of the plain loop's, at least 0.90 is wanted" in said[-3]
    assert "latency p50 1.50" in said[-2]


def test_copies_of_a_scene_are_scenes_of_their_own() -> None:
    one = scene(user_id="ana")
    copy = fresh(one, "7")
    assert copy.scene_id != one.scene_id
    assert copy.user_id == "ana~7"
    assert copy.draft == f"{one.draft} 7"


def test_the_peers_do_the_work_of_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    work = work_of(Settings(), FakeScorer(), {})
    message = encode(scene(), at=datetime.now(UTC))
    record = Record("scenes", 0, message.value, message.key, 2, message.headers)

    async def run() -> None:
        records = cast("list[Received]", [record])
        prepared = await work.handlers["scenes"].prepare(records)
        assert [one.partition for one in work.apply(records, prepared)] == [2]
        assert [one.partition for one in work.changed_rows(range(4))] == [2]

    asyncio.run(run())

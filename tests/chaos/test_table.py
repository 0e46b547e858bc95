"""The table says what was found, and is clean only where nothing was."""

from __future__ import annotations

import json
from dataclasses import replace

from rich.console import Console

from tests.chaos.__main__ import told
from tests.chaos.crew import Ended
from tests.chaos.faults import FAULTS
from tests.chaos.judge import Findings
from tests.chaos.run import Outcome
from tests.chaos.table import as_json, for_a_terminal, lines, markdown

CLEAN = Outcome(
    fault="kill", seed=1, findings=Findings(), troubles=(), silences=(1.0, 4.0), scenes=100, healed=50, labels=40,
    dead=5, ended=(Ended("one", -9, 1.0),), seconds=20.0,
)  # fmt: skip
BAD = replace(CLEAN, seed=2, findings=Findings(lost=("a", "b", "c", "d"), dead=("e",)), silences=(9.0,))


def test_runs_of_a_fault_are_one_line_in_the_order_of_the_faults() -> None:
    found = lines([CLEAN, replace(CLEAN, fault="none"), replace(CLEAN, seed=2, silences=(2.0,))])
    assert [line.fault for line in found] == ["none", "kill"]
    assert all(line.clean for line in found)
    assert (found[1].runs, found[1].scenes, found[1].silence_p50, found[1].silence_max) == (2, 200, 2.0, 4.0)
    assert "| kill | 2 | 200 | 0 | 0 | 0 | 0 | 0 | 10 as expected | p50 2.0, max 4.0 |" in markdown(found)


def test_one_bad_run_among_good_ones_is_not_clean_and_is_told_with_what_was_found() -> None:
    [line] = lines([CLEAN, BAD])
    assert not line.clean
    assert (line.failed, line.lost, line.dead_unexpected) == (1, 4, 1)
    assert "1 unexpected" in markdown([line])
    assert told(BAD) == ["lost: a", "lost: b", "lost: c", "lost: and 1 more", "dead: e"]
    assert json.loads(as_json([line], [CLEAN, BAD]))["runs"][1]["findings"]["lost"] == ["a", "b", "c", "d"]


def test_a_run_that_was_worth_nothing_is_not_clean_either() -> None:
    nothing = replace(CLEAN, troubles=("the fault did not strike",))
    [line] = lines([nothing])
    assert not line.clean
    assert told(nothing) == ["the fault did not strike"]


def test_the_table_of_all_faults_fits_a_log() -> None:
    console = Console(width=150)
    with console.capture() as caught:
        console.print(for_a_terminal(lines([replace(CLEAN, fault=fault.name) for fault in FAULTS])))
    shown = caught.get()
    assert all(f" {fault.name} " in shown for fault in FAULTS)
    assert max(map(len, shown.splitlines())) <= 150

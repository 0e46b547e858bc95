"""Every fault once, by one seed, on a real broker: nothing lost, nothing twice, no row wrong; and it would show."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.broker.kafka_server import BrokerError
from tests.chaos.__main__ import told
from tests.chaos.cluster import Cluster
from tests.chaos.faults import FAULTS, Fault, find
from tests.chaos.run import Outcome, Size, run
from tests.chaos.wounds import FORGETS, UNFENCED, dies

SEED = 20
SIZE = Size(scenes=900, seconds=4.5, patient_users=12)
# Who is broken on purpose loses scenes, and they are not waited for as long as those of whoever is well.
SABOTAGE = replace(SIZE, quiet_seconds=15.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="scenestream-chaos-"))
    # Clients whose broker is killed say so at length.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        with Cluster(folder) as one:
            yield one
    except BrokerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI runs the matrix of faults, and there is no broker: {error}")
        pytest.skip(f"NO BROKER, NOT TESTED: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        logging.getLogger("aiokafka").setLevel(logging.NOTSET)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.bounded], ids=lambda fault: fault.name)
def test_nothing_is_lost_or_twice_and_no_row_is_wrong(fault: Fault, cluster: Cluster, tmp_path: Path) -> None:
    outcome = _run(fault, cluster, tmp_path)
    assert not told(outcome), f"make chaos FAULT={fault.name} SEED={SEED} RUNS=1 for one like it"
    assert outcome.scenes > SIZE.scenes
    assert min(outcome.healed, outcome.labels) > SIZE.scenes // 4
    assert outcome.dead == 5 + len(fault.culprits)


REPEATS = replace(
    find("kill-before-commit"),
    wounded=lambda rng, folder: {"one": dies("before rows", rng.randint(1, 20), folder, "one")},
    least_ends=1,
)


def test_a_worker_that_repeats_what_it_has_not_committed_is_found_out(cluster: Cluster, tmp_path: Path) -> None:
    """At least once, killed between outputs and rows: it may repeat, and does, and nothing is lost."""
    found = _run(REPEATS, cluster, tmp_path, kafka__guarantee="at_least_once").findings
    assert found.twice
    assert not found.lost


@pytest.mark.parametrize("fault", [REPEATS, find("kill")], ids=["between outputs and rows", "at random moments"])
def test_at_least_once_is_once_for_whoever_drops_repeats_by_their_ids(
    fault: Fault, cluster: Cluster, tmp_path: Path
) -> None:
    """Also where feedback on what came out is there before the scene is judged again."""
    outcome = _run(fault, cluster, tmp_path, drop_repeats=True, kafka__guarantee="at_least_once")
    assert not told(outcome)


def test_a_worker_that_forgets_its_rows_is_found_out(cluster: Cluster, tmp_path: Path) -> None:
    forgets = replace(find("kill"), models={FORGETS: "1"})
    found = _run(forgets, cluster, tmp_path, SABOTAGE).findings
    assert found.wrong_rows
    assert found.wrong_outcomes


def test_a_zombie_that_nobody_fences_is_found_out(cluster: Cluster, tmp_path: Path) -> None:
    unfenced = replace(find("zombie"), models={UNFENCED: "1"})
    found = _run(unfenced, cluster, tmp_path, SABOTAGE).findings
    assert found.twice
    assert found.wrong_outcomes or found.wrong_rows


def _run(
    fault: Fault, cluster: Cluster, folder: Path, size: Size = SIZE, *, drop_repeats: bool = False, **settings: str
) -> Outcome:
    return asyncio.run(run(fault, SEED, size, cluster, folder, drop_repeats=drop_repeats, **settings))

"""The example logs, replayed once for all who look at them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.late_feedback import own_lines
from tests.replay.program import EXAMPLES, LOGS, SPOILT, replay, settings_of

RATED_DIALOGUES = 16


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples as they are."""
    return replay(tmp_path_factory.mktemp("golden") / "plain", *LOGS)


@pytest.fixture(scope="session")
def spoilt_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shorter examples with drafts spoilt, no words kept, in small batches."""
    folder = tmp_path_factory.mktemp("golden") / "spoilt"
    return replay(folder, *LOGS[1:], "--spoil", SPOILT, "--no-texts", settings=settings_of(7, 8))


@pytest.fixture(scope="session")
def late_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of shared users whose dialogues interleave and whose ratings come late, twice, or twice unlike."""
    chats = (EXAMPLES / "evenings.jsonl").read_text("utf-8").splitlines()[:RATED_DIALOGUES]
    log = tmp_path_factory.mktemp("late") / "late.jsonl"
    log.write_text("".join(f"{line}\n" for line in own_lines(chats, seed=1)), "utf-8")
    return log


@pytest.fixture(scope="session")
def strict_run(late_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Late feedback under the strict promise, with an allowance that is soon spent."""
    folder = tmp_path_factory.mktemp("golden") / "strict"
    return replay(folder, late_log, settings=settings_of(64, 768, mode="strict", slack=1.0))

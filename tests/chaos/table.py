"""The table of many runs: for a person, as Markdown and as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rich.table import Table

from tests.chaos.faults import FAULTS
from tests.chaos.run import Outcome

_HEAD = (
    "fault", "runs", "scenes", "lost", "duplicated", "wrong rows", "wrong outcomes", "bound broken", "dead letters",
    "seconds to resume",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A fault's runs together; silence is in seconds, of all partitions, the longest of each run."""

    fault: str
    says: str
    runs: int
    failed: int
    scenes: int
    lost: int
    duplicated: int
    wrong_rows: int
    wrong_outcomes: int
    bound_broken: int
    dead_letters: int
    dead_unexpected: int
    silence_p50: float
    silence_max: float

    @property
    def clean(self) -> bool:
        wrong = self.wrong_rows + self.wrong_outcomes + self.bound_broken + self.dead_unexpected
        return not (self.failed or self.lost or self.duplicated or wrong)


def lines(outcomes: Iterable[Outcome]) -> list[Line]:
    """Return a line for each fault that was run, in the order of the faults."""
    outcomes = list(outcomes)
    groups = ((fault, [one for one in outcomes if one.fault == fault.name]) for fault in FAULTS)
    return [_line(fault.name, fault.says, ones) for fault, ones in groups if ones]


def _line(fault: str, says: str, ones: Sequence[Outcome]) -> Line:
    silences = [seconds for one in ones for seconds in one.silences] or [0.0]
    found = [one.findings for one in ones]
    return Line(
        fault=fault,
        says=says,
        runs=len(ones),
        failed=sum(not one.clean for one in ones),
        scenes=sum(one.scenes for one in ones),
        lost=sum(len(one.lost) for one in found),
        duplicated=sum(len(one.twice) for one in found),
        wrong_rows=sum(len(one.wrong_rows) for one in found),
        wrong_outcomes=sum(len(one.wrong_outcomes) for one in found),
        bound_broken=sum(len(one.bound) for one in found),
        dead_letters=sum(one.dead for one in ones),
        dead_unexpected=sum(len(one.dead) for one in found),
        silence_p50=round(statistics.median(silences), 1),
        silence_max=round(max(silences), 1),
    )


def cells(line: Line) -> tuple[str, ...]:
    """Return the cells of a line."""
    letters = f"{line.dead_letters} as expected" if not line.dead_unexpected else f"{line.dead_unexpected} unexpected"
    counts = (line.lost, line.duplicated, line.wrong_rows, line.wrong_outcomes, line.bound_broken)
    silence = f"p50 {line.silence_p50:.1f}, max {line.silence_max:.1f}"
    return (line.fault, str(line.runs), str(line.scenes), *map(str, counts), letters, silence)


def for_a_terminal(found: Sequence[Line]) -> Table:
    """Return the table for rich; what must be zero and is not is red."""
    table = Table(title="faults under load", title_justify="left")
    for number, name in enumerate(_HEAD):
        table.add_column(name, justify="left" if number == 0 else "right")
    for line in found:
        table.add_row(*cells(line), style=None if line.clean else "red")
    return table


def markdown(found: Sequence[Line]) -> str:
    """Return the table as Markdown."""
    rows = [_HEAD, tuple("---" for _ in _HEAD), *map(cells, found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def as_json(found: Sequence[Line], outcomes: Sequence[Outcome]) -> str:
    """Return all that is known of the runs."""
    said = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "faults": [asdict(line) for line in found],
        "runs": [asdict(outcome) for outcome in outcomes],
    }
    return json.dumps(said, indent=1) + "\n"

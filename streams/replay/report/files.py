"""What lies beside the decisions of a run: its summary and its dead letters; both may be missing or cut short."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from schemas.dead import DeadLetter, DeadReason

Table = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's summary.json; `found` is False where there is none that can be read."""

    raw: Mapping[str, object] = field(default_factory=dict)
    found: bool = False

    def count(self, name: str) -> int | None:
        """Return a count of the summary, None where it is not there."""
        value = self.raw.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def real(self, name: str) -> float | None:
        """Return a number of the summary, None where it is not there."""
        return _real(self.raw.get(name))

    @property
    def digest(self) -> str | None:
        """The digest over the decisions."""
        value = self.raw.get("digest")
        return value if isinstance(value, str) and value else None

    @property
    def interrupted(self) -> bool:
        """Whether the run ended before its log did."""
        return self.raw.get("interrupted") is True

    @property
    def settings(self) -> list[tuple[str, str]]:
        """The settings, and what the command was told, as dotted names and values, in the order they were written."""
        told = {name: self.raw[name] for name in ("seed", "spoil") if name in self.raw}
        return [*_flat(told, ""), *_flat(self.raw.get("settings"), "")]

    @property
    def models(self) -> list[tuple[str, str]]:
        """The models as dotted names and hashes or figures, in the order they were written."""
        return list(_flat(self.raw.get("models"), ""))

    @property
    def stages(self) -> list[tuple[str, int, float | None, float | None]]:
        """The stages: name, scenes, median and 99th percentile of a call in milliseconds."""
        stages = self.raw.get("stages")
        rows = []
        for name, row in stages.items() if isinstance(stages, dict) else ():
            if isinstance(row, dict):
                count = row.get("count")
                rows.append(
                    (name, count if isinstance(count, int) else 0, _real(row.get("p50_ms")), _real(row.get("p99_ms")))
                )
        return rows

    @property
    def controls(self) -> Table:
        """The controls beside the run: for each route its figure and theirs."""
        controls = self.raw.get("controls")
        rows = controls.items() if isinstance(controls, dict) else ()
        return {
            name: {column: number for column, value in row.items() if (number := _real(value)) is not None}
            for name, row in rows
            if isinstance(row, dict)
        }

    @property
    def feedback(self) -> dict[str, int]:
        """What feedback came to, and how often."""
        feedback = self.raw.get("feedback")
        rows = feedback.items() if isinstance(feedback, dict) else ()
        return {name: count for name, count in rows if isinstance(count, int)}

    @property
    def logs(self) -> list[str]:
        """The names of the logs that were replayed."""
        logs = self.raw.get("logs")
        return [log for log in logs if isinstance(log, str)] if isinstance(logs, list) else []

    def setting(self, name: str) -> object:
        """Return the first setting whose last name is `name`, at any depth; None where there is none."""
        return _find(self.raw.get("settings"), name)

    def number(self, name: str) -> float | None:
        """Return the first setting called `name` as a number; None where there is none."""
        return _real(self.setting(name))


@dataclass(frozen=True, slots=True)
class Dead:
    """Dead letters by reason: how many, and where the first was and what it said."""

    counts: Counter[DeadReason]
    examples: dict[DeadReason, DeadLetter]


def read_summary(path: Path) -> Summary:
    """Return a run's summary; an empty one where the file is missing or is no JSON object, as after a crash."""
    try:
        parsed = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return Summary()
    return Summary(parsed, found=True) if isinstance(parsed, dict) else Summary()


def read_dead(path: Path) -> Dead:
    """Return the dead letters of a run by reason, read line by line; none where the file is missing."""
    counts: Counter[DeadReason] = Counter()
    examples: dict[DeadReason, DeadLetter] = {}
    if path.exists():
        with path.open("rb") as lines:
            for line in lines:
                try:
                    letter = DeadLetter.model_validate_json(line)
                except ValidationError:
                    continue
                counts[letter.reason] += 1
                examples.setdefault(letter.reason, letter)
    return Dead(counts, examples)


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _find(value: object, name: str) -> object:
    if not isinstance(value, dict):
        return None
    if name in value and not isinstance(value[name], dict):
        return value[name]
    return next((found for inner in value.values() if (found := _find(inner, name)) is not None), None)


def _flat(value: object, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{prefix}.{name}" if prefix else str(name))
    elif prefix:
        yield prefix, "none" if value is None else value if isinstance(value, str) else json.dumps(value)

"""How far a replay is: a bar for a person, or lines of JSON for a program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

_EVERY_SECONDS = 0.25


class Form(StrEnum):
    """How progress is told."""

    BAR = "bar"
    JSON = "json"
    NONE = "none"


class Told(Protocol):
    """Who is told how far a replay is."""

    def done(self, size_bytes: int) -> None:
        """Lines of so many more bytes of the log have come to their outcomes, or begun to."""

    def scenes(self, count: int) -> None:
        """So many scenes are final."""


@contextmanager
def told(form: Form, total_bytes: int | None) -> Iterator[Told]:
    """Tell progress on stderr; `total_bytes` is None where nobody knows how long the log is."""
    if form is Form.JSON:
        lines = _Lines(total_bytes)
        yield lines
        lines.say()
        return
    console = Console(stderr=True)
    columns = (SpinnerColumn(), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[scenes]} scenes"))
    hidden = form is Form.NONE or not console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=hidden) as progress:
        yield _Bar(progress, total_bytes)


class _Bar:
    def __init__(self, progress: Progress, total_bytes: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("replay", total=total_bytes, scenes=0)

    def done(self, size_bytes: int) -> None:
        self._progress.update(self._task, advance=size_bytes)

    def scenes(self, count: int) -> None:
        self._progress.update(self._task, scenes=count)


class _Lines:
    """A line of JSON a few times a second: {"progress": {"scenes": 12, "share": 0.25}}."""

    def __init__(self, total_bytes: int | None) -> None:
        self._total = total_bytes
        self._done = 0
        self._scenes = 0
        self._said_at = 0.0

    def done(self, size_bytes: int) -> None:
        self._done += size_bytes

    def scenes(self, count: int) -> None:
        self._scenes = count
        if time.monotonic() - self._said_at >= _EVERY_SECONDS:
            self._said_at = time.monotonic()
            self.say()

    def say(self) -> None:
        share = min(1.0, self._done / self._total) if self._total else None
        sys.stderr.write(json.dumps({"progress": {"scenes": self._scenes, "share": share}}) + "\n")
        sys.stderr.flush()

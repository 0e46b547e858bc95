"""Replays that were started from the dashboard: what was asked, how far it is, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from schemas.base import Frozen

JobState = Literal["waiting", "exporting", "running", "done", "failed", "stopped"]


class ReplayOrder(Frozen):
    """What to replay: a log of an allowed folder, by its name there, or the scenes of a time range; never both."""

    log: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    limit: Annotated[int, Field(ge=1)] | None = None


class ReplayJob(Frozen):
    """A replay: `share` 0..1 of its log is read, None where that is unknown; `run` is its directory's name.

    `error` is what it said when it failed, in words for a person.
    """

    id: str
    order: ReplayOrder
    state: JobState
    asked_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    scenes: int = 0
    share: float | None = None
    run: str | None = None
    error: str | None = None


class RunOnDisk(Frozen):
    """A finished run that can be looked at or compared with."""

    name: str
    at: datetime
    scenes: int
    digest: str
    logs: tuple[str, ...]
    interrupted: bool

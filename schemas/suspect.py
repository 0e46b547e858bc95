"""Suspects: messages that a worker was busy with when it failed, so that whoever tries them next tries each alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Event, Id

Place = Annotated[int, Field(ge=0)]


class Suspect(Event):
    """A message on which models did not answer, or whose batch failed after rows were touched.

    `exception` is a DeadReason (`hung`) or the class of what a stage raised; `tries` how often it went wrong.
    """

    type: Literal["suspect"] = "suspect"
    topic: Id
    partition: Place
    offset: Place
    tries: Annotated[int, Field(ge=1)]
    stage: str
    exception: str
    message: Annotated[str, Field(max_length=1000)] = ""
    worker: str = ""
    first_at: datetime
    last_at: datetime

    @property
    def key(self) -> str:
        """What it is noted under: one note a message, the last one counts."""
        return f"{self.topic}:{self.partition}:{self.offset}"

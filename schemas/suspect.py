"""Suspects: messages that a worker was busy with when it failed, so that whoever tries them next tries each alone.

Beside them stands where workers begin, for one that dies hard notes no suspects.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Event, Id

Place = Annotated[int, Field(ge=0)]


class Suspect(Event):
    """A message on which models did not answer, or whose batch failed after rows were touched.

    `exception` is a DeadReason (`hung`; `died`, which is noted before it is tried alone) or the class of what a stage
    raised; `tries` how often it went wrong.
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


class Begun(Event):
    """The first messages of a partition that a worker tried after it got it; cleared when these are committed.

    Where it still stands the worker is at them, or did not survive them.
    """

    type: Literal["begun"] = "begun"
    topic: Id
    partition: Place
    first_offset: Place
    last_offset: Place
    worker: str = ""
    at: datetime

    @property
    def key(self) -> str:
        """What it is noted under: one note a partition, the last one counts."""
        return f"{self.topic}:{self.partition}"

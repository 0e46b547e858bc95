"""What every event has in common: frozen, closed to unknown fields, finite numbers, a version."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SCHEMA_VERSION = 1
Version = Annotated[Literal[1], Field(description="The version of this schema; a reader refuses one it does not know.")]

Id = Annotated[str, StringConstraints(min_length=1, max_length=512)]
# Strict, for ids are made of it: 3.0 or "3" would be the same turn by another name.
Turn = Annotated[int, Field(ge=0, le=2**31, strict=True)]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Cosine = Annotated[float, Field(ge=-1.0, le=1.0)]


class Frozen(BaseModel):
    """A value: it never changes, takes no unknown fields and no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, serialize_by_alias=True)


class Event(Frozen):
    """A value that travels alone on a topic or a line, so it says its version."""

    version: Version = 1

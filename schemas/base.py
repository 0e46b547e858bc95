"""What every event has in common: frozen, closed to unknown fields, finite numbers, a version.

A field may be added under the same version when it has a default: what was written without it is read for ever. Who was
built before that refuses an event with it, for it is closed to fields it does not know; so readers are upgraded before
writers. All else (another meaning, a field that goes or must be there) is a new version, and its reader also reads the
ones before. The files of `tests/golden` hold what was written; they are never written again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# What names no version was written by the first, whatever the present one is.
FIRST_VERSION = 1
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


def unknown_version(event: Mapping[str, object]) -> str | None:
    """Return the version that an event says it has where no reader here knows it, else None."""
    version = event.get("version", FIRST_VERSION)
    known = isinstance(version, int) and not isinstance(version, bool) and FIRST_VERSION <= version <= SCHEMA_VERSION
    return None if known else repr(version)

"""Dead letters: what could not be read, where it was, why, and what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.base import Event


class DeadReason(StrEnum):
    """Why an input was not admitted; each has one cause and one remedy."""

    BROKEN_JSON = "broken_json"
    NOT_TEXT = "not_text"
    UNKNOWN_FORMAT = "unknown_format"
    UNKNOWN_VERSION = "unknown_version"
    WRONG_FIELDS = "wrong_fields"
    UNKNOWN_ROLE = "unknown_role"
    UNKNOWN_REGISTER = "unknown_register"
    UNKNOWN_CODE = "unknown_code"
    WRONG_VECTOR = "wrong_vector"
    EMPTY_DRAFT = "empty_draft"
    TOO_LONG = "too_long"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"
    UNKNOWN_SCENE = "unknown_scene"
    NO_VALUE = "no_value"
    WRONG_KEY = "wrong_key"
    POISON = "poison"
    HUNG = "hung"
    DIED = "died"


class DeadLetter(Event):
    """An input that was not admitted; `raw` is cut to its first 2,000 characters and may be left out."""

    source: str
    line: Annotated[int, Field(ge=0)]
    reason: DeadReason
    detail: str
    raw: str | None = None

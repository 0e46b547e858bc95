"""Dead letters as a person may read them: words and ids for those who may, what and how much they were for others."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import cast

from pydantic_core import from_json

from schemas.dead import DeadReason
from schemas.decision import Decision
from schemas.feedback import Feedback, Preference
from schemas.scene import Code, Healing, Scene, Step, Swap, Utterance, Wanted
from schemas.sensitivity import Sensitivity
from streams.kafka.dead_letters import Failure, Letter
from streams.stages.admit import REMEDIES

_TEXT_FIELDS = frozenset({"text", "draft", "content", "cue", "nearest_reply"})
# An id or a digest; ideographs need no blanks.
_LONGEST_PLAIN = 64
_REASONS = {reason.value: reason for reason in DeadReason}
_MODELS = (Scene, Utterance, Code, Healing, Swap, Wanted, Step, Feedback, Preference, Decision, Sensitivity)
_FIELDS = frozenset(name for model in _MODELS for name in model.model_fields)
_FIELD = rf"(?:{'|'.join(sorted(_FIELDS))})(?:\.\d{{1,4}})?"
# Where in an event something is wrong, as a refusal begins; of our names alone, so that no words are among them.
_WHERE = re.compile(rf"`{_FIELD}(?:\.{_FIELD}){{0,2}}`")
_ID_FIELDS = frozenset({"scene_id", "dialogue_id", "user_id", "key"})
# Fields whose strings are words of ours, and those that hold no string or number of their own.
_OUR_WORDS = frozenset(
    {"type", "task", "origin", "role", "register", "from_register", "route", "strength", "source", "stage", "outcome"}
    | {"rule", "verdict", "spoilt", "code", "codes", "old", "new", "symbols"}
)
_HOLDERS = frozenset(
    {"context", "chain", "lineage", "before", "swaps", "healing", "wanted", "preference", "parts", "ledger", "pending"}
)
# What stands for an id, by the field it is in.
Namer = Callable[[str, str], str]


def show_body(value: bytes | None, *, texts: bool, name: Namer | None = None) -> str:
    """Return a body for a person: without `texts` no words of a dialogue, only how many there were.

    With `name` no ids either: those of our fields by what it makes of them, and of other fields nothing.
    """
    if value is None:
        return "no value"
    if texts:
        return value.decode("utf-8", "backslashreplace")
    try:
        read = from_json(value)
    except ValueError:
        # By a digest a short body could be guessed.
        told = f", sha256 {hashlib.sha256(value).hexdigest()[:16]}; see --texts" if name is None else ""
        return f"{len(value)} bytes that are not JSON{told}"
    # What is no object at all has no names to tell words by.
    words = _masked(read, text=not isinstance(read, dict)) if name is None else _nameless(read, name)
    return json.dumps(words, ensure_ascii=False, indent=2)


def show_message(failure: Failure, *, texts: bool) -> str:
    """Return why it failed; it may quote the dialogue, so without `texts` only where it was and what to do.

    Anybody may put a message of their own under a reason of ours.
    """
    if texts:
        return failure.message
    reason = _REASONS.get(failure.exception)
    if reason is None:
        return f"a stage raised {failure.exception}"
    where = _WHERE.match(failure.message)
    return f"{where[0]}: {REMEDIES[reason]}" if where else REMEDIES[reason]


def lies_elsewhere(letter: Letter) -> str:
    """Return what is told of a letter that is not whole: what is not there, and where it lies."""
    parts = " and ".join(letter.left_out)
    return (
        f"its {parts} would not fit a dead topic ({letter.value_bytes:,} bytes); the message lies at {letter.origin} "
        "for as long as that topic keeps it, and has to be sent anew from there"
    )


def _masked(value: object, *, text: bool = False) -> object:
    if isinstance(value, dict):
        return {name: _masked(one, text=text or name in _TEXT_FIELDS) for name, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, text=text) for one in cast("Sequence[object]", value)]
    return f"<{len(value)} characters>" if isinstance(value, str) and (text or _may_be_words(value)) else value


def _nameless(value: object, name: Namer, field: str = "", *, text: bool = False) -> object:
    """Return a body without words and ids; a field that no event has, or one of another kind, may hold one too."""
    if isinstance(value, dict):
        return {
            one if one in _FIELDS else f"<field {number}>": _nameless(
                inner, name, one, text=text or one in _TEXT_FIELDS
            )
            for number, (one, inner) in enumerate(value.items(), 1)
        }
    if isinstance(value, list):
        return [_nameless(one, name, field, text=text) for one in cast("Sequence[object]", value)]
    if value is None or isinstance(value, bool):
        return value
    if field in _ID_FIELDS and not text:
        return name(field, str(value))
    if isinstance(value, str):
        ours = field in _OUR_WORDS and not text and not _may_be_words(value)
        return value if ours else f"<{len(value)} characters>"
    return value if field in _FIELDS - _HOLDERS - _OUR_WORDS and not text else "<a number>"


def _may_be_words(value: str) -> bool:
    """Return whether a field that no event has may hold words: letters are dead for such fields."""
    return len(value) > _LONGEST_PLAIN or any(map(str.isspace, value))

"""The sensitivity row: how sensitive the gate is for one key, and what it still owes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from schemas.base import Event, Frozen, Id, Unit
from schemas.decision import AccountName
from schemas.names import REGISTERS, Register

Count = Annotated[int, Field(ge=0)]


def _bits_from_hex(value: object) -> object:
    return int(value, 16) if isinstance(value, str) else value


# A window of turns as bits, bit i for turn `base + i`; hex on the wire, since JSON numbers end at 2**53.
Bits = Annotated[
    int,
    Field(ge=0),
    BeforeValidator(_bits_from_hex),
    PlainSerializer(lambda bits: format(bits, "x"), return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]+$"}),
]


# How much each register is liked, in the order of REGISTERS.
Likes = Annotated[tuple[Unit, ...], Field(min_length=len(REGISTERS), max_length=len(REGISTERS))]
NO_LIKES: tuple[float, ...] = (0.0,) * len(REGISTERS)


class Pending(Frozen):
    """An emitted scene whose label is awaited; it expires at `expires_at` of the key's offered turns."""

    dialogue_id: Id
    turn: Count
    account: AccountName
    risk: Unit
    expires_at: Count
    register: Register | None = None
    brevity: Unit = 0.0


class Account(Frozen):
    """One promise: n emitted, E labelled errors, P emitted and unlabelled (those are the row's `pending`)."""

    emitted: Count = 0
    errors: Count = 0
    pending: Count = 0
    expected: Annotated[float, Field(ge=0.0)] = 0.0
    labelled_risk: Annotated[float, Field(ge=0.0)] = 0.0
    labelled: Count = 0


class DialogueRow(Frozen):
    """What is remembered of one dialogue: its level, its likes, and bits over its last 256 turns."""

    dialogue_id: Id
    z: float = 0.0
    base: Count = 0
    last_turn: Annotated[int, Field(ge=-1)] = -1
    seen: Bits = 0
    emitted_as_was: Bits = 0
    labelled: Bits = 0
    likes: Likes = NO_LIKES
    brevity: Unit = 0.0
    mean_density: Annotated[float, Field(ge=0.0)] = 0.0
    scenes: Count = 0


class Sensitivity(Event):
    """All that is kept for one key: levels, ledger accounts, preferences, its latest dialogues."""

    type: Literal["sensitivity"] = "sensitivity"
    key: Id
    task: Id | None = None
    offered: Count = 0
    z: float = 0.0
    drafts: Account = Account()
    healed: Account = Account()
    pending: tuple[Pending, ...] = ()
    likes: Likes = NO_LIKES
    brevity: Unit = 0.0
    inapplicable: Count = 0
    repeated: Count = 0
    dialogues: tuple[DialogueRow, ...] = ()

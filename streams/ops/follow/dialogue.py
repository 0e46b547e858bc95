"""One dialogue followed across topics: what was said of it where, with its chain at each step."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from schemas.base import Frozen
from schemas.decision import LedgerView, Parts
from schemas.names import Origin, Register, Role, Verdict
from schemas.scene import Chain, Healing

Kind = Literal["scene", "decision", "feedback", "row", "dead letter"]


class Said(Frozen):
    """An utterance; without permission `text` says only how long it was."""

    role: Role
    text: str


class DialogueStep(Frozen):
    """One record of the dialogue, or one attempt of a run: where it lay, and what it says.

    `stage` made it ("source": whoever sends to the pipeline). Fields that its kind has not are None or empty.
    """

    kind: Kind
    scene_id: str
    dialogue_id: str
    user_id: str | None
    turn: int | None
    attempt: int | None
    stage: str
    topic: str | None
    partition: int | None
    offset: int | None
    at: datetime | None
    origin: Origin | None = None
    verdict: Verdict | None = None
    final: bool | None = None
    rule: str | None = None
    reason: str | None = None
    register: Register | None = None
    resonance: float | None = None
    threshold: float | None = None
    risk: float | None = None
    parts: Parts | None = None
    chain: Chain = ()
    healing: Healing | None = None
    ledger: LedgerView | None = None
    cue: str | None = None
    context: tuple[Said, ...] = ()
    draft: str | None = None
    # Of feedback: accepted, rejected or told; of a row: what the feedback came to.
    outcome: str | None = None
    spoilt: str | None = None


class Dialogue(Frozen):
    """The steps of one dialogue, or of all dialogues of one user, in order of turn, attempt and time.

    `whole` says that everything there is was looked at; `cut` how many older steps there were no room for; `refused`
    tells of topics that may not be read.
    """

    steps: tuple[DialogueStep, ...]
    texts_shown: bool
    whole: bool
    cut: int = 0
    refused: tuple[str, ...] = ()


class ScanProgress(Frozen):
    """How far a scan of a key's partitions has come: `share` 0..1 of the records, or why it ended early."""

    share: float
    records: int
    found: int
    done: bool
    ended_early: Literal["time is up", "enough found", "stopped", "broker away"] | None = None

"""The decision: what became of a scene at one attempt, and everything it was decided by."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from schemas.base import Cosine, Event, Frozen, Id, Unit
from schemas.names import Origin, Register, Verdict
from schemas.scene import Chain, Healing, Step

AccountName = Literal["drafts", "healed"]


class Parts(Frozen):
    """What resonance is made of; None where a part does not apply to this scene."""

    intent: Unit | None = None
    fidelity: Cosine | None = None
    field: Unit | None = None
    activation: Unit | None = None
    depth: Unit | None = None
    tension: Unit | None = None
    density: Annotated[float, Field(ge=0.0)] | None = None
    gain: Cosine | None = None


class LedgerView(Frozen):
    """The account a scene was held against, as it stands after the decision."""

    model_config = ConfigDict(populate_by_name=True)

    account: AccountName
    offered: Annotated[int, Field(ge=0, alias="T")]
    emitted: Annotated[int, Field(ge=0, alias="n")]
    errors: Annotated[int, Field(ge=0, alias="E")]
    pending: Annotated[int, Field(ge=0, alias="P")]
    expected: Annotated[float, Field(ge=0.0)] = 0.0
    bound: float


class Decision(Event):
    """One verdict on one attempt of a scene; `final` ones go out, the others go round again."""

    type: Literal["decision"] = "decision"
    scene_id: Id
    dialogue_id: Id
    user_id: Id | None
    task: Id | None
    turn: int
    attempt: int
    origin: Origin
    verdict: Verdict
    rule: str
    reason: str
    register: Register | None = None
    resonance: Unit
    parts: Parts
    density_deviation: float | None = None
    threshold: float
    risk: Unit
    ledger: LedgerView
    chain: Chain
    cue: str | None
    healing: Healing | None
    lineage: tuple[Step, ...]
    flags: tuple[Literal["cut", "observed"], ...] = ()
    spoilt: str | None = None
    final: bool

    @property
    def key(self) -> str:
        """The key of its topic: user_id, or dialogue_id where there is no user."""
        return self.dialogue_id if self.user_id is None else self.user_id

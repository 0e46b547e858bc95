"""The scene: one dialogue turn, what was said before it and the draft of what to say next."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.base import Cosine, Event, Frozen, Id, Turn, Unit
from schemas.ids import with_scene_id
from schemas.names import Origin, Register, Role
from schemas.vector import Vector

MAX_CODES = 5


class Utterance(Frozen):
    """Something that was said, and by whom."""

    role: Role
    text: str


class Code(Frozen):
    """A concept code of a chain and its weight (0 and up; the weights of a chain need no sum)."""

    code: Id
    weight: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0


Chain = Annotated[tuple[Code, ...], Field(max_length=MAX_CODES)]


class Swap(Frozen):
    """An old code, the new code that stands for it, and how close the two are."""

    old: Id
    new: Id
    closeness: Cosine


class Healing(Frozen):
    """What a healing made of a scene: its route, the chain before, and what it promises."""

    route: Literal["regeneration", "bridge"]
    before: Chain
    from_register: Register | None = None
    strength: Literal["amplified", "partial", "full"] | None = None
    source: Literal["blend", "authored"] | None = None
    swaps: tuple[Swap, ...] = ()
    symbols: tuple[str, ...] = ()
    fidelity: Cosine
    gain: Cosine | None = None
    risk: Unit
    activated: bool = True
    nearest_reply: str | None = None


class Wanted(Frozen):
    """What the listener's row wanted of a healing when the scene was judged."""

    register: Register | None = Field(default=None, description="The voice to hold it in; none: as the scene has it.")
    codes: Annotated[int, Field(ge=1, le=MAX_CODES)]


class Step(Frozen):
    """One hop of a scene's life, as its lineage keeps it."""

    stage: Literal["resonance", "regeneration", "bridge"]
    attempt: Annotated[int, Field(ge=0)]
    outcome: Literal["ready", "withheld", "reasoning", "regenerate", "analogue", "healed"]
    rule: str
    register: Register | None = None
    resonance: Unit | None = None
    intent: Unit | None = None
    codes: tuple[str, ...] = ()


class Scene(Event):
    """A dialogue turn on its way: context and a draft, or its embedding, or its chain."""

    type: Literal["scene"] = "scene"
    scene_id: Id = Field(default="", description="Defaults to dialogue_id:turn.")
    dialogue_id: Id
    user_id: Id | None = None
    task: Id | None = None
    turn: Turn
    attempt: Annotated[int, Field(ge=0, le=8)] = 0
    origin: Origin = Origin.FRESH
    context: tuple[Utterance, ...] = ()
    draft: str | None = None
    embedding: Vector | None = None
    chain: Chain | None = None
    register: Register | None = None
    spoilt: str | None = Field(default=None, description="How a replay spoilt the draft, where it did.")
    healing: Healing | None = None
    lineage: tuple[Step, ...] = ()
    wanted: Wanted | None = Field(default=None, description="Set on the way to be healed, gone on the way back.")

    @model_validator(mode="before")
    @classmethod
    def _name_the_scene(cls, data: object) -> object:
        return with_scene_id(data)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.draft is None and self.embedding is None and not self.chain:
            raise ValueError("a scene brings a draft, an embedding or a chain; this one brings none")
        if (self.origin is Origin.FRESH) != (self.healing is None):
            raise ValueError("a scene that comes back from healing carries `healing`; a fresh one does not")
        return self

    @property
    def key(self) -> str:
        """The key of its topic: user_id, or dialogue_id where there is no user."""
        return self.dialogue_id if self.user_id is None else self.user_id

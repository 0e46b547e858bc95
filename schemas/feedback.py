"""Feedback: how words that were said were taken, and what a listener prefers."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.base import Event, Frozen, Id, Turn, Unit
from schemas.ids import with_scene_id
from schemas.names import Register


class Preference(Frozen):
    """What a listener says they like: a register, and how brief (0 as it comes, 1 as brief as can be)."""

    register: Register | None = None
    brevity: Unit | None = None


class Feedback(Event):
    """A judgement of one scene's words (accepted, or a rating 0 to 1), a preference, or both."""

    type: Literal["feedback"] = "feedback"
    dialogue_id: Id
    turn: Turn
    scene_id: Id = Field(default="", description="Defaults to dialogue_id:turn.")
    user_id: Id | None = None
    accepted: bool | None = None
    rating: Unit | None = Field(default=None, description="Below .5 counts as rejected.")
    preference: Preference | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_the_scene(cls, data: object) -> object:
        return with_scene_id(data)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.accepted is None and self.rating is None and self.preference is None:
            raise ValueError("feedback brings `accepted`, a `rating` or a `preference`; this one brings none")
        if self.accepted is not None and self.rating is not None and self.accepted != (self.rating >= 0.5):
            raise ValueError("`accepted` and `rating` contradict each other")
        return self

    @property
    def key(self) -> str:
        """The key of its topic: the same as that of the scene it speaks of."""
        return self.dialogue_id if self.user_id is None else self.user_id

    @property
    def error(self) -> int | None:
        """1 where the words were rejected, 0 where accepted, None where only a preference was told."""
        if self.rating is not None:
            return int(self.rating < 0.5)
        return None if self.accepted is None else int(not self.accepted)

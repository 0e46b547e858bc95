"""Two streams joined by name, whichever side comes first, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, Literal, TypeVar

Side = Literal["came", "went"]
Note = TypeVar("Note")


class Pairs(Generic[Note]):
    """Pairs the n-th that came by a name with the n-th that went; `most` wait, of whatever names.

    Beyond that the oldest note of the name that waits longest is let go.
    """

    def __init__(self, most: int) -> None:
        # How many were let go without their other side.
        self.let_go = 0
        self._most = most
        self._notes = 0
        self._waiting: OrderedDict[Hashable, tuple[Side, deque[Note]]] = OrderedDict()

    def meet(self, name: Hashable, side: Side, note: Note) -> Note | None:
        """Return the note of the other side where it waits; else wait."""
        waiting = self._waiting.get(name)
        if waiting is None or waiting[0] == side:
            if waiting is None:
                waiting = self._waiting[name] = (side, deque())
            waiting[1].append(note)
            self._notes += 1
            if self._notes > self._most:
                self._take(next(iter(self._waiting)))
                self.let_go += 1
            return None
        return self._take(name)

    def __len__(self) -> int:
        return self._notes

    def _take(self, name: Hashable) -> Note:
        notes = self._waiting[name][1]
        note = notes.popleft()
        self._notes -= 1
        if not notes:
            del self._waiting[name]
        return note

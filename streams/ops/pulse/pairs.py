"""Two streams joined by name, whichever side comes first, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, Literal, TypeVar

Side = Literal["came", "went"]
Note = TypeVar("Note")


class Pairs(Generic[Note]):
    """Pairs the n-th that came by a name with the n-th that went; beyond `most` names the longest waiting is let go."""

    def __init__(self, most: int) -> None:
        # How many were let go without their other side.
        self.let_go = 0
        self._most = most
        self._waiting: OrderedDict[Hashable, tuple[Side, deque[Note]]] = OrderedDict()

    def meet(self, name: Hashable, side: Side, note: Note) -> Note | None:
        """Return the note of the other side where it waits; else wait."""
        waiting = self._waiting.get(name)
        if waiting is None:
            self._waiting[name] = (side, deque((note,)))
            if len(self._waiting) > self._most:
                _, (_, notes) = self._waiting.popitem(last=False)
                self.let_go += len(notes)
            return None
        if waiting[0] == side:
            waiting[1].append(note)
            if len(waiting[1]) > self._most:
                waiting[1].popleft()
                self.let_go += 1
            return None
        other = waiting[1].popleft()
        if not waiting[1]:
            del self._waiting[name]
        return other

    def __len__(self) -> int:
        return len(self._waiting)

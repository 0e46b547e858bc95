"""What the page lives on: named documents as they stand, made once and read by any number of tabs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

from pydantic import BaseModel

_BEAT_SECONDS = 15.0

Json = Mapping[str, object]


class Feed:
    """Documents by name. A tab that reads slowly misses versions of a document, never the last one."""

    def __init__(self) -> None:
        self._documents: dict[str, tuple[int, bytes]] = {}
        self._version = 0
        self._changed = asyncio.Event()

    def publish(self, name: str, document: Json | BaseModel) -> None:
        """Put a document in place of the one before it; the same once more disturbs nobody."""
        said = document.model_dump_json().encode() if isinstance(document, BaseModel) else to_json(document)
        if self._documents.get(name, (0, b""))[1] == said:
            return
        self._version += 1
        self._documents[name] = (self._version, said)
        self._changed.set()
        self._changed = asyncio.Event()

    def document(self, name: str) -> bytes | None:
        """Return a document as it stands; None before it was first published."""
        return self._documents[name][1] if name in self._documents else None

    async def changes(self) -> AsyncIterator[list[tuple[int, str, bytes]]]:
        """Yield what stands, then what is new, as (version, name, JSON); an empty list is nothing new for a while."""
        seen = 0
        while True:
            changed = self._changed
            found = [(at, name, said) for name, (at, said) in self._documents.items() if at > seen]
            if found:
                seen = max(at for at, _, _ in found)
                yield sorted(found)
                continue
            try:
                async with asyncio.timeout(_BEAT_SECONDS):
                    await changed.wait()
            except TimeoutError:
                yield []


def to_json(document: object) -> bytes:
    """Return a document as JSON on one line; raises ValueError for what JSON has no word for."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")

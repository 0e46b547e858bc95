"""Notes: what workers tell their successors, outside of any transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from streams.kafka.records import Outgoing
from streams.kafka.transactions import Sending, send_once


class Notes:
    """Writes notes; those of one turn of the loop, as of all partitions that begin, go together."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._gathered: list[Outgoing] = []
        self._next: asyncio.Task[None] | None = None

    async def write(self, notes: Sequence[Outgoing]) -> None:
        """Return when Kafka has them; raises what it says where it will not."""
        self._gathered += notes
        if self._next is None:
            self._next = asyncio.create_task(self._send(), name="notes")
        # Others wait for the same: who gives up must not take it from them.
        await asyncio.shield(self._next)

    async def _send(self) -> None:
        await asyncio.sleep(0)
        notes, self._gathered, self._next = self._gathered, [], None
        await send_once(self._sending, notes)

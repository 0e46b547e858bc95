"""Batches of a stream that may be slow: as full as they can be without making what is there wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from queue import Empty, Queue
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Ended(Generic[Item]):
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def batched(items: Iterable[Item], size: int, wait_ms: float) -> Iterator[list[Item]]:
    """Yield `items` in order, in lists of at most `size`; a list waits `wait_ms` at most to fill.

    A thread reads ahead, two lists far. An exception of `items` is raised here, after what came before it.
    """
    waiting: Queue[Item | _Ended[Item]] = Queue(size * 2)
    threading.Thread(target=_read, args=(items, waiting), name="line-reader", daemon=True).start()
    ended: _Ended[Item] | None = None
    while ended is None:
        batch: list[Item] = []
        first = waiting.get()
        until = time.monotonic() + wait_ms / 1000
        message: Item | _Ended[Item] | None = first
        while message is not None:
            if isinstance(message, _Ended):
                ended = message
                break
            batch.append(message)
            message = None if len(batch) == size else _next(waiting, until)
        if batch:
            yield batch
    if ended.error is not None:
        raise ended.error


def _read(items: Iterable[Item], waiting: Queue[Item | _Ended[Item]]) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            waiting.put(item)
    except BaseException as caught:  # noqa: BLE001 - raised again where the batches are wanted
        error = caught
    waiting.put(_Ended(error))


def _next(waiting: Queue[Item | _Ended[Item]], until: float) -> Item | _Ended[Item] | None:
    try:
        return waiting.get(timeout=max(0.0, until - time.monotonic()))
    except Empty:
        return None

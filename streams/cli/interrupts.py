"""Ctrl-C: it ends a run between two scenes, never within one, and shows no traceback while the program loads."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held_back() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done, for what it writes belongs together. For the main thread."""
    came = False

    def note(*_: object) -> None:
        nonlocal came
        came = True

    with _handled_by(note):
        yield
    if came:
        raise KeyboardInterrupt


@contextmanager
def plain_death() -> Iterator[None]:
    """Let Ctrl-C end the process at once: while modules load there is nothing to write, only a traceback to show."""
    with _handled_by(signal.SIG_DFL):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    # Whoever started the program may have switched Ctrl-C off, or taken it over: that stays.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

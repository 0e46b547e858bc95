"""Ctrl-C and SIGTERM: they end a run between two scenes, never within one; no traceback while the program loads."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# What an interrupted program ends with: 128 and the number of SIGINT.
INTERRUPTED = 130


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does: a run that a supervisor ends is written like one that a person ends."""
    ours = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


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


def leave_at_once() -> None:
    """Let Ctrl-C and SIGTERM end the process with 0 until others handle them: a service that loads has begun nothing.

    As the first process of a container it would not hear SIGTERM at all, and be killed when its grace is over.
    """
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: os._exit(0))


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    # Whoever started the program may have switched Ctrl-C off, or taken it over: that stays.
    ours = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) is signal.default_int_handler]
    for one in ours:
        signal.signal(one, handler)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.default_int_handler)

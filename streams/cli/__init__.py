"""The commands: the one place that wires settings, models, runtimes and files together."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from streams.cli.interrupts import INTERRUPTED, leave_at_once, plain_death

# What runs until it is told to stop, and handles that itself once it has begun.
_SERVICES = frozenset({"worker", "dashboard"})


def program() -> None:
    """Be the program `scenestream`: `main`, and after Ctrl-C an end that no thread can spoil.

    A model may still be busy in its thread. Its C++ ends the process with SIGABRT where the interpreter is taken down
    around it; what was to be written is written.
    """
    try:
        main()
    except SystemExit as left:
        if left.code != INTERRUPTED:
            raise
        for stream in (sys.stdout, sys.stderr):
            # Whoever read them may be gone.
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(INTERRUPTED)


def main() -> None:
    """Load the program and run its command line."""
    if _SERVICES.intersection(sys.argv[1:2]):
        leave_at_once()
    with plain_death():
        from streams.cli import app  # noqa: PLC0415 - loading takes a second, in which Ctrl-C may come

    app.main()


__all__ = ["main", "program"]

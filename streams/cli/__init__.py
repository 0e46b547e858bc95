"""The commands: the one place that wires settings, models, runtimes and files together."""

from __future__ import annotations

import sys

from streams.cli.interrupts import leave_at_once, plain_death

# What runs until it is told to stop, and handles that itself once it has begun.
_SERVICES = frozenset({"worker", "dashboard"})


def main() -> None:
    """Load the program and run its command line."""
    if _SERVICES.intersection(sys.argv[1:2]):
        leave_at_once()
    with plain_death():
        from streams.cli import app  # noqa: PLC0415 - loading takes a second, in which Ctrl-C may come

    app.main()


__all__ = ["main"]

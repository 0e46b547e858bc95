"""The commands: the one place that wires settings, models, runtimes and files together."""

from __future__ import annotations

from streams.cli.interrupts import plain_death


def main() -> None:
    """Load the program and run its command line."""
    with plain_death():
        from streams.cli import app  # noqa: PLC0415 - loading takes a second, in which Ctrl-C may come

    app.main()


__all__ = ["main"]

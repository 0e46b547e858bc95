"""The commands: the one place that wires settings, models, runtimes and files together."""

from streams.cli.app import main

__all__ = ["main"]

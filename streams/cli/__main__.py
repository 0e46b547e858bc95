"""`python -m streams.cli`: the program without its script, for whoever starts it as a process."""

from __future__ import annotations

from streams.cli import program

if __name__ == "__main__":
    program()

"""What goes wrong with a model file, said so that a person can act on it."""

from __future__ import annotations


class ModelError(Exception):
    """A model is missing, corrupt, foreign, or cannot run here; the message says what, where and what to do."""

"""Numbers as others wrote them, in keys and headers or on a command line."""

from __future__ import annotations

# No offset or count is longer, and Python refuses to read one of thousands of digits.
_MOST_DIGITS = 18


def number_in(text: str | bytes) -> int | None:
    """Return the number that a text of ASCII digits is; None for any other, and for one that no offset can be."""
    return int(text) if len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit() else None

"""What every picture in the terminal is made of: users' texts made harmless, and bars."""

from __future__ import annotations

import unicodedata

from rich.text import Text

_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
# Joiners hold emoji and letters of some scripts together; they move no cursor and turn no line around.
_HARMLESS_FORMATS = frozenset("\u200c\u200d")


def clean(text: str, characters: int | None = None) -> str:
    """Return a text on one line without what a terminal would obey (controls, direction overrides), cut if asked."""
    shown = " ".join(clean_line(text).split())
    if characters is None or len(shown) <= characters:
        return shown
    return shown[: characters - 1].rstrip() + "…"


def clean_line(text: str) -> str:
    """Return a line as it is, spaces and all, without what a terminal would obey."""
    return "".join(" " if character.isspace() else character for character in text if _is_kept(character))


def bar(share: float, cells: int, style: str = "", mark: float | None = None) -> Text:
    """Return a bar of `cells` cells, `share` of it (0..1) full; `mark` (0..1) puts a line where a threshold is."""
    eighths = round(min(1.0, max(0.0, share)) * cells * 8)
    whole, rest = divmod(eighths, 8)
    drawn = _FULL * whole + (_EIGHTHS[rest] if rest else "")
    text = Text.assemble((drawn, style), ("·" * (cells - len(drawn)), "dim"))
    if mark is None:
        return text
    place = min(cells - 1, int(min(1.0, max(0.0, mark)) * cells))
    return Text.assemble(text[:place], ("│", "bold"), text[place + 1 :])


def _is_kept(character: str) -> bool:
    return character.isspace() or _is_shown(character)


def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"} or character in _HARMLESS_FORMATS

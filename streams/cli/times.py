"""Times as a person types them: so long ago, or a date."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def when(text: str, now: datetime, option: str, say: str = "90m, 2h, 3d or 2026-03-01T12:00") -> datetime:
    """Return the time that `option` was given as: 90m, 2h, 3d (ago), or an ISO date, local where it has no zone."""
    ago = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"say {say}", param_hint=option) from error
    return found if found.tzinfo is not None else found.astimezone()

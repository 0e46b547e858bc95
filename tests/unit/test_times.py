from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer

from streams.cli.times import when

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("0s", NOW),
        ("3d", NOW - timedelta(days=3)),
        ("2026-02-28T10:00+01:00", datetime(2026, 2, 28, 9, tzinfo=UTC)),
        ("2026-02-28T10:00", datetime(2026, 2, 28, 10).astimezone()),
    ],
)
def test_times_as_a_person_types_them(text: str, then: datetime) -> None:
    assert when(text, NOW, "--since") == then


@pytest.mark.parametrize("text", ["", "soon", "-5m", "5 m", "999999999d", "9999999999999s", "2026-13-01", "٣m"])
def test_what_is_no_time_is_told_so(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="say 90m"):
        when(text, NOW, "--since")

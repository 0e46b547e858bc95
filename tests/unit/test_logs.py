from __future__ import annotations

import pytest
import structlog

from streams.logs import configure


def test_what_is_no_terminal_gets_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    configure("warning", "console")
    structlog.get_logger().warning("kafka_away", next_try_in_seconds=0.5)
    said = capsys.readouterr().err
    assert "kafka_away" in said
    assert "next_try_in_seconds=0.5" in said
    assert "\x1b" not in said

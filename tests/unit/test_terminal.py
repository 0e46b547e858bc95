from __future__ import annotations

import pytest

from streams.cli.terminal import bar, clean, clean_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("a\r\nb\tc", "a b c"),
        ("bell\x07 and \x9bcsi", "bell and csi"),
        ("turned \u202eround\u2066", "turned round"),
        ("half a \ud83d pair", "half a pair"),
        ("👩\u200d👩\u200d👧 family", "👩\u200d👩\u200d👧 family"),
        ("الحنفية", "الحنفية"),
    ],
)
def test_what_a_terminal_would_obey_is_not_shown(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_a_line_keeps_its_indentation() -> None:
    assert clean_line('  "said":\t"\x1b[2Jgone\r\u202e"') == '  "said": "[2Jgone "'


def test_a_long_text_is_cut_where_asked() -> None:
    assert clean("one two three", 8) == "one two…"
    assert len(clean("x" * 100, 20)) == 20


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.01, 0.33, 0.5, 0.999, 1.0, 7.0])
@pytest.mark.parametrize("mark", [None, -1.0, 0.0, 0.5, 1.0])
def test_a_bar_is_as_wide_as_it_should_be(share: float, mark: float | None) -> None:
    assert bar(share, 10, mark=mark).cell_len == 10


def test_a_bar_is_as_full_as_its_share() -> None:
    assert bar(0.5, 4).plain == "██··"
    assert bar(0.5, 4, mark=0.75).plain == "██·│"

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from test_partition_runner import records
from test_suspects import failed, noted, put_back
from test_trials import Topic

from streams.cli import dead
from streams.kafka.numbers import number_in
from streams.kafka.records import Place
from streams.kafka.suspects import Suspects

ENDLESS = "9" * 5000


@given(st.integers(0, 10**18 - 1), st.integers(0, 3))
def test_an_offset_is_read(number: int, zeros: int) -> None:
    text = f"{number:0{min(18, len(str(number)) + zeros)}d}"
    assert number_in(text) == number_in(text.encode()) == number


@given(st.text() | st.binary() | st.sampled_from(["", "-1", "1_0", " 1", "²", "٣", ENDLESS, b"\xb2", ENDLESS.encode()]))
def test_whatever_is_written_is_a_number_or_none(text: str | bytes) -> None:
    found = number_in(text)
    assert (found is not None) == (
        0 < len(text) <= 18 and set(text) <= set("0123456789" if isinstance(text, str) else b"0123456789")
    )


@pytest.mark.parametrize(
    "key", [f"scenes:{ENDLESS}", f"scenes:0:{ENDLESS}", f"scenes:{ENDLESS}:7", "scenes:²:7", "scenes"]
)
@pytest.mark.parametrize("value", [None, b"{}"])
def test_a_note_under_no_key_of_ours_is_passed_over(key: str, value: bytes | None) -> None:
    """Who may write to the topic could else keep every worker from beginning."""
    suspects = Suspects("suspects", "one")
    noted(suspects, failed(7))
    put_back(suspects, key.encode(), value)
    assert suspects.of(records("scenes", 7, 1)[0]) is not None
    topic = Topic()
    topic.stands[key.encode()] = value
    assert topic.restored().trials.most(Place("scenes", 0), records("scenes", 0, 1)[0], 9) == 9


def test_a_letter_is_named_by_an_offset() -> None:
    assert dead._place("a:b.dead:0:17") == ("a:b.dead", 0, 17)
    for text in (f"scenes.dead:0:{ENDLESS}", "scenes.dead:0", "scenes.dead:0:²"):
        with pytest.raises(typer.BadParameter, match="name it as"):
            dead._place(text)

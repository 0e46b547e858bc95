from __future__ import annotations

from streams.cli.said import turns_of


def test_plain_texts_alternate_and_the_last_is_the_users() -> None:
    assert turns_of(["a", "b", "c"]) == [
        {"role": "user", "text": "a"},
        {"role": "assistant", "text": "b"},
        {"role": "user", "text": "c"},
    ]
    assert turns_of(["a", "b"]) == [{"role": "assistant", "text": "a"}, {"role": "user", "text": "b"}]


def test_messages_of_chats_are_read_as_utterances() -> None:
    assert turns_of([{"role": "system", "content": "x"}]) == [{"role": "system", "text": "x"}]
    assert turns_of([{"role": "user", "text": "x"}]) == [{"role": "user", "text": "x"}]


def test_what_is_no_context_is_left_for_admit_to_refuse() -> None:
    for odd in ("words", 7, None, {"role": "user"}):
        assert turns_of(odd) == odd
    assert turns_of([7, None]) == [7, None]

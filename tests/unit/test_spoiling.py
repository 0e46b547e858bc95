from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.spoiling import GENERIC, KINDS, OFFTOPIC, Kind, Pools, Surroundings, parse_kinds, shatter, spoil

DRAFT = "The kettle is on and the window is open towards the garden."
AROUND = Surroundings(last_user="Is the tea ready?", other_turns=("We met at noon.", "Is the tea ready?", DRAFT))


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_one_text_and_it_is_not_the_draft(kind: Kind) -> None:
    first, second = (spoil(kind, DRAFT, AROUND, Random(3)) for _ in range(2))
    assert first == second != DRAFT


def test_every_kind_takes_from_its_own_place() -> None:
    pools = Pools(random=("A reply of another.",), offtopic=("A reply off the topic.",), generic=("Well.",))

    def made(kind: Kind) -> str:
        return spoil(kind, DRAFT, AROUND, Random(1), pools)

    assert made("echo") == "Is the tea ready?"
    assert made("other_turn") == "We met at noon."
    assert (made("random"), made("offtopic"), made("generic")) == (*pools.random, *pools.offtopic, *pools.generic)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_corpus_or_a_context_there_is_still_something_to_say(kind: Kind) -> None:
    nothing = Surroundings(last_user="", other_turns=())
    assert spoil(kind, DRAFT, nothing, Random(0), Pools(random=(), offtopic=(), generic=())).strip()


def test_a_draft_that_is_itself_in_the_pool_is_not_drawn() -> None:
    for seed in range(60):
        assert spoil("generic", GENERIC[0], AROUND, Random(seed)) != GENERIC[0]
        assert spoil("offtopic", OFFTOPIC[0], AROUND, Random(seed)) != OFFTOPIC[0]


@given(st.lists(st.text("abcdefg", min_size=1, max_size=4), min_size=2, max_size=30, unique=True), st.integers())
def test_a_shattered_text_keeps_only_its_own_words_and_never_their_order(words: list[str], seed: int) -> None:
    kept = shatter(" ".join(words), Random(seed)).split()
    places = [words.index(word) for word in kept]
    assert len(set(places)) == len(places) >= 2
    assert places != sorted(places)
    assert len(kept) <= len(words)


@given(st.text(max_size=80), st.integers())
def test_any_text_can_be_shattered(text: str, seed: int) -> None:
    assert isinstance(shatter(text, Random(seed)), str)


def test_kinds_are_read_in_order_and_once() -> None:
    assert parse_kinds("echo, shattered,echo") == ("echo", "shattered")


@pytest.mark.parametrize("text", ["", "loud", "echo,loud"])
def test_an_unknown_kind_is_named_beside_those_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="shattered"):
        parse_kinds(text)


def test_the_pools_have_no_repeats() -> None:
    assert len(set(GENERIC)) == len(GENERIC) >= 40
    assert len(set(OFFTOPIC)) == len(OFFTOPIC) >= 60

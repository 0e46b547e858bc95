from __future__ import annotations

import pytest
from builders import chain, scene

from models.spoiling import GENERIC, OFFTOPIC
from schemas.dead import DeadReason
from schemas.scene import Scene
from streams.replay.items import Item, Where
from streams.replay.spoil import Spoiling, spoil_items
from streams.stages.admit import Refusal

WHERE = Where("log.jsonl", 1, b"{}")
DRAFT = "The kettle is on and the window is open towards the garden."


def items(count: int) -> list[Item]:
    return [Item(WHERE, scene(n, f"d{n % 7}", draft=f"{DRAFT} {n}")) for n in range(count)]


def spoilt(given: list[Item], how: str, seed: int = 1) -> list[Scene]:
    events = [item.event for item in spoil_items(given, Spoiling.parse(how, seed))]
    return [event for event in events if isinstance(event, Scene)]


@pytest.mark.parametrize("text", ["echo", "echo:", "echo:x", "echo:1.5", "echo:-0.1", "echo:nan", ":0.3", "loud:0.3"])
def test_what_cannot_be_read_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"shattered"):
        Spoiling.parse(text, 0)


def test_kinds_and_share_are_read() -> None:
    assert Spoiling.parse("shattered, echo:0.3", 7) == Spoiling(("shattered", "echo"), 0.3, 7)


def test_about_the_share_is_spoilt_and_says_so() -> None:
    after = spoilt(items(400), "shattered,offtopic,generic,echo:0.3")
    changed = [one for one in after if one.spoilt is not None]
    assert 90 <= len(changed) <= 150
    assert {one.spoilt for one in changed} == {"shattered", "offtopic", "generic", "echo"}
    assert all(one.draft == f"{DRAFT} {one.turn}" for one in after if one.spoilt is None)
    assert all(one.draft != f"{DRAFT} {one.turn}" for one in changed)


def test_none_and_all() -> None:
    assert spoilt(items(50), "echo:0") == [item.event for item in items(50)]
    assert all(one.spoilt == "echo" and one.draft == "Did you sleep?" for one in spoilt(items(50), "echo:1"))


def test_the_seed_decides_which_and_how_whatever_comes_between() -> None:
    given = items(60)
    refusal = Item(WHERE, Refusal(DeadReason.BROKEN_JSON, "x"))
    assert spoilt(given, "shattered:0.5") == spoilt([refusal, *given[:30], refusal, *given[30:]], "shattered:0.5")
    assert spoilt(given, "shattered:0.5") != spoilt(given, "shattered:0.5", seed=2)
    alone = [one for item in given for one in spoilt([item], "shattered:0.5")]
    assert alone == spoilt(given, "shattered:0.5")


def test_each_kind_spoils_in_its_way() -> None:
    given = items(30)
    assert all(one.draft in GENERIC for one in spoilt(given, "generic:1"))
    assert all(one.draft in OFFTOPIC for one in spoilt(given, "offtopic:1"))
    own = {item.event.draft: item.event.dialogue_id for item in given if isinstance(item.event, Scene)}
    strangers = spoilt(given, "random:1")
    assert all(own.get(one.draft, "") != one.dialogue_id for one in strangers)
    assert sum(one.draft in own for one in strangers) > 20


def test_a_spoilt_draft_leaves_nothing_of_the_old_meaning() -> None:
    given = [Item(WHERE, scene(draft=DRAFT, embedding=[0.5] * 4, chain=chain()))]
    (one,) = spoilt(given, "generic:1")
    assert (one.embedding, one.chain) == (None, None)


def test_a_draft_that_cannot_be_spoilt_is_not_called_spoilt() -> None:
    given = [Item(WHERE, scene(draft="Yes.")), Item(WHERE, scene(2, draft="Did you sleep?"))]
    assert spoilt(given, "shattered,echo:1")[0].spoilt != "shattered"
    assert [one.spoilt for one in spoilt(given[1:], "echo:1")] == [None]


def test_scenes_without_words_and_other_items_pass() -> None:
    given = [Item(WHERE, scene(chain=chain())), Item(WHERE, Refusal(DeadReason.BROKEN_JSON, "x"))]
    assert list(spoil_items(given, Spoiling.parse("echo:1", 0))) == given

from __future__ import annotations

from builders import chain, healing

from streams.stages.cue import write_cue

STEP = chain("step", "tension", "entrance")


def test_a_cue_says_what_to_say_and_what_to_keep() -> None:
    assert write_cue(STEP, healing(), "bodily", 0.0) == (
        "say: step 1.00 + tension 0.50 + entrance 0.33 | voice: bodily | keep: entrance"
    )


def test_a_chain_that_was_replaced_keeps_nothing() -> None:
    assert write_cue(chain("step"), healing(), None, 0.0) == "say: step 1.00 | keep: nothing of the draft"


def test_a_regeneration_keeps_the_meaning() -> None:
    assert write_cue(chain("step"), healing(route="regeneration"), "dry", 0.0) == (
        "say: step 1.00 | voice: dry | keep: the draft's meaning"
    )


def test_who_likes_it_brief_gets_symbols() -> None:
    brief = write_cue(STEP, healing(symbols=("👣", "⚡", "🚪")), None, 0.5)
    assert brief == "say: 👣 1.00 + ⚡ 0.50 + 🚪 0.33 | keep: entrance | length: as brief as can be"
    assert write_cue(STEP, healing(), None, 1.0).startswith("say: step 1.00 + ")
    assert write_cue(STEP, healing(symbols=("👣", "⚡", "🚪")), None, 0.49).startswith("say: step 1.00 + ")


def test_the_nearest_reply_is_one_short_line() -> None:
    cue = write_cue(STEP, healing(nearest_reply="Sit\ndown\u2028by  me. " + "x" * 200), None, 0.0)
    quoted = cue.split(" | like: ")[1]
    assert quoted.startswith("“Sit down by me. xxx")
    assert quoted.endswith("x…”")
    assert len(quoted) == 162
    assert len(cue.splitlines()) == 1
    assert write_cue(STEP, healing(nearest_reply="y" * 160), None, 0.0).endswith("“" + "y" * 160 + "”")

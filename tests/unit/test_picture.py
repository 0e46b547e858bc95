from __future__ import annotations

import io

import pytest
from builders import candidate, chain, decision, healing, parts
from rich.cells import cell_len
from rich.console import Console

from schemas.decision import Decision
from schemas.names import Origin, Verdict
from schemas.scene import Swap, Utterance
from streams.cli.picture import Baseline, Story, draw


def shown(story: Story, width: int = 80) -> str:
    stream = io.StringIO()
    draw(story, Console(file=stream, width=width, highlight=False))
    return stream.getvalue()


def bridged(**fields: object) -> Decision:
    healed = healing(
        before=chain("entrance", "tremor", "vagueness"),
        strength="partial",
        source="authored",
        swaps=(Swap(old="entrance", new="step", closeness=0.42),),
        gain=0.56,
    )
    given: dict[str, object] = {
        "attempt": 1,
        "origin": Origin.BRIDGE,
        "chain": chain("step", "tremor", "morning"),
        "healing": healed,
        "threshold": 0.3,
        "parts": parts(gain=0.56),
        "cue": "say: step 1.00",
    }
    return decision(**(given | fields))


def story(**fields: object) -> Story:
    given: dict[str, object] = {
        "decisions": (decision(verdict=Verdict.ANALOGUE, final=False), bridged()),
        "context": (Utterance(role="user", text="Did you sleep?"),),
        "draft": "A little, towards morning.",
    }
    return Story(**(given | fields))  # type: ignore[arg-type]


def test_a_healing_shows_what_became_of_every_code() -> None:
    lines = shown(story()).splitlines()
    swapped, kept, gone, come = (
        next(line for line in lines if mark in line) for mark in ("── +0.42 ──►", "kept", "gone", "come")
    )
    assert "entrance" in swapped
    assert "step" in swapped
    assert kept.count("tremor") == 2
    assert "vagueness" in gone
    assert "morning" in come


def test_the_part_that_decided_is_held_against_its_threshold() -> None:
    line = next(line for line in shown(story()).splitlines() if "│ gain" in line)
    assert "0.56" in line
    assert "0.30 is needed" in line


def test_rule_reason_ledger_and_cue_are_there() -> None:
    last = bridged()
    text = shown(story())
    for told in (last.verdict.value.upper(), last.rule, "say: step 1.00", f"at most {last.ledger.bound:.2f}"):
        assert told in text


def test_the_baseline_stands_beside_each_candidate() -> None:
    offers = (candidate("step", "tremor", "morning", gain=0.56, source="authored"), candidate("door", gain=0.1))
    text = shown(story(candidates=offers, baseline=Baseline((0.6, 0.1, 0.2, 0.05), 7)))
    assert "of 4 random chains as long, 25.0% gain as much" in text
    assert "authored in analogues.tsv, not found by geometry" in text
    assert next(line for line in text.splitlines() if "blend" in line and "door" in line).count("75.0%") == 1


def test_random_chains_that_gain_the_same_count_against_it() -> None:
    assert Baseline((0.3, 0.3, 0.2), 0).share_at_least(0.3) == pytest.approx(2 / 3)
    assert Baseline((), 0).share_at_least(0.3) == 0.0


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize(
    "text", ["x" * 5000, "the ferry is late " * 300, "👩\u200d👩\u200d👧🎉" * 400, "渡し船は遅れる" * 300, "\x1b[2J[/]"]
)
def test_it_stays_within_the_terminal(width: int, text: str) -> None:
    one = story(context=tuple(Utterance(role="user", text=text) for _ in range(9)), draft=text)
    for line in shown(one, width).splitlines():
        assert cell_len(line) <= min(width, 100)
        assert "\x1b" not in line


def test_a_scene_without_words_or_draft_says_so() -> None:
    assert "kept no words" in shown(story(context=None, draft=None))
    assert "it came as a chain or a vector" in shown(story(draft=None))
    assert "nothing was said before" in shown(story(context=()))


def test_a_fresh_scene_shows_its_chain_alone() -> None:
    text = shown(story(decisions=(decision(),)))
    assert "entrance" in text
    assert "►" in text
    assert "healed" not in text


def test_in_a_narrow_terminal_no_number_and_no_code_is_cut() -> None:
    text = shown(story(), 60)
    assert "…" not in text
    assert "entrance" in text
    assert max(cell_len(line) for line in text.splitlines()) <= 60

from __future__ import annotations

import pytest

from schemas import topics
from schemas.names import FINAL_VERDICTS, Verdict
from streams.topology import AGENTS, HOPS, draw, goes_to, mermaid, reader_of


def test_every_verdict_has_one_hop() -> None:
    outcomes = [hop.outcome for hop in HOPS if hop.stage == "resonance"]
    assert sorted(outcomes) == sorted(Verdict)


def test_final_verdicts_leave_and_the_others_are_read_again() -> None:
    for verdict in Verdict:
        reader = reader_of(goes_to("resonance", verdict.value))
        assert (reader is None) is (verdict in FINAL_VERDICTS)


def test_every_hop_leads_to_a_known_topic_and_every_topic_is_led_to() -> None:
    reached = {hop.to for hop in HOPS}
    assert reached <= set(topics.TOPICS)
    assert set(topics.TOPICS) - reached == {topics.FEEDBACK}


def test_hops_and_agents_are_unique_and_belong_together() -> None:
    assert len({(hop.stage, hop.outcome) for hop in HOPS}) == len(HOPS)
    assert len({agent.reads for agent in AGENTS}) == len({agent.stage for agent in AGENTS}) == len(AGENTS)
    assert {hop.stage for hop in HOPS} == {agent.stage for agent in AGENTS}
    assert {agent.reads for agent in AGENTS} <= set(topics.TOPICS)


def test_healed_scenes_come_back_to_the_one_place_of_verdicts() -> None:
    for stage in ("regeneration", "bridge"):
        assert goes_to(stage, "healed") == topics.SCENES
    assert reader_of(topics.SCENES) == "resonance"


def test_a_hop_that_is_not_on_the_map_is_an_error() -> None:
    with pytest.raises(LookupError, match="resonance has no outcome 'lost'"):
        goes_to("resonance", "lost")


@pytest.mark.parametrize("picture", [draw(), mermaid()])
def test_both_pictures_show_the_whole_map(picture: str) -> None:
    for name in (*topics.TOPICS, *(agent.stage for agent in AGENTS), *(hop.outcome for hop in HOPS)):
        assert name in picture


def test_the_drawing_fits_a_page_and_says_where_the_unreadable_goes() -> None:
    lines = draw().splitlines()
    assert max(map(len, lines)) <= 130
    assert lines[0].startswith("scenes ──► resonance ┬─ ready")
    assert lines[-2].startswith("unreadable on topic T ──► T.dead")
    assert lines[-1].startswith("ends a worker ──► scenes.suspect")
    assert all(hop.meaning in draw() for hop in HOPS if hop.outcome != "healed")

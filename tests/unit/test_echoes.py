from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from builders import decision, feedback, row, scene

from schemas.dead import DeadReason
from schemas.feedback import Feedback
from schemas.names import Verdict
from schemas.scene import Scene
from streams.kafka import wire
from streams.kafka.dead_letters import Failure, Letter
from streams.kafka.records import Place
from streams.replay.items import Item, Where
from streams.runtimes.echoes import Echoes, Entry
from streams.runtimes.timings import Timings
from streams.stages.admit import Refusal

AT = datetime(2026, 3, 1, tzinfo=UTC)


class Conversation:
    def __init__(self) -> None:
        self.sent: list[Entry] = []
        self.echoes = Echoes(Timings(), self.sent.append, lambda: float(len(self.sent)))

    def arrive(self, *events: Scene | Feedback | Refusal) -> list[Entry]:
        entries = [Entry(Item(Where("log", line, b"{}"), event)) for line, event in enumerate(events, 1)]
        for entry in entries:
            self.echoes.arrive(entry)
        return entries


def letter(event: Scene | Feedback, reason: str, topic: str) -> Letter:
    message = wire.encode(event, at=AT)
    failure = Failure("g", "resonance", reason, "why", AT)
    return Letter(
        Place(f"{topic}.dead", 0), 1, Place(topic, 0), 1, message.key, message.value, message.headers, failure
    )


def echo(about: Feedback, outcome: str) -> wire.Headers:
    return wire.encode_row(row(), scene_id=about.scene_id, stage="threshold", attempt=0, at=AT, outcome=outcome).headers


def test_a_key_has_one_open_item_and_many_keys_are_open() -> None:
    talk = Conversation()
    first, second, other = talk.arrive(scene(1), scene(2), scene(1, user="v"))
    assert talk.sent == [first, other]
    talk.echoes.decided(decision())
    assert talk.sent == [first, other, second]


def test_a_final_verdict_waits_for_those_before_it() -> None:
    talk = Conversation()
    [entry] = talk.arrive(scene())
    assert talk.echoes.decided(decision(attempt=1))
    assert entry.outcome is None
    talk.echoes.decided(decision(verdict=Verdict.ANALOGUE, final=False))
    assert entry.outcome is not None
    assert [one.attempt for one in entry.outcome.decisions] == [0, 1]


def test_decisions_of_others_are_passed_over() -> None:
    talk = Conversation()
    [entry] = talk.arrive(scene())
    assert not talk.echoes.decided(decision(user_id="somebody"))
    assert not talk.echoes.decided(decision(scene_id="d:9"))
    talk.echoes.tuned(row(key="somebody"), ())
    assert entry.outcome is None
    assert list(talk.echoes.rows) == []


def test_feedback_is_answered_by_its_row_only() -> None:
    talk = Conversation()
    label = feedback(1, accepted=True)
    [entry] = talk.arrive(label)
    after_scene = wire.encode_row(row(), scene_id="d:1", stage="resonance", attempt=0, at=AT).headers
    talk.echoes.tuned(row(offered=1), after_scene)
    assert entry.outcome is None
    talk.echoes.tuned(row(offered=2), echo(label, "learnt"))
    assert entry.outcome is not None
    assert entry.outcome.feedback == "learnt"
    assert [one.offered for one in talk.echoes.rows] == [2]


def test_feedback_on_an_unknown_scene_is_dead_and_its_letter_answers_nothing_else() -> None:
    talk = Conversation()
    label = feedback(7, accepted=True)
    first, again = talk.arrive(label, label)
    talk.echoes.tuned(row(), echo(label, "unknown"))
    assert first.outcome is not None
    assert first.outcome.dead is not None
    assert first.outcome.dead.reason is DeadReason.UNKNOWN_SCENE
    talk.echoes.died(letter(label, "unknown_scene", "feedback"))
    assert again.outcome is None


@pytest.mark.parametrize(
    ("reason", "wanted"), [("duplicate", DeadReason.DUPLICATE), ("ZeroDivisionError", DeadReason.POISON)]
)
def test_a_dead_scene_is_settled_with_its_reason(reason: str, wanted: DeadReason) -> None:
    talk = Conversation()
    entry, after = talk.arrive(scene(1), scene(2))
    talk.echoes.died(letter(scene(9), reason, "scenes"))
    assert entry.outcome is None
    talk.echoes.died(letter(scene(1), reason, "scenes"))
    assert entry.outcome is not None
    assert entry.outcome.dead is not None
    assert (entry.outcome.dead.reason, entry.outcome.dead.detail) == (wanted, "why")
    assert talk.sent == [entry, after]


def test_dead_feedback_is_settled() -> None:
    talk = Conversation()
    label = feedback(1, accepted=True)
    [entry] = talk.arrive(label)
    talk.echoes.died(letter(feedback(1, accepted=False), "wrong_key", "feedback"))
    assert entry.outcome is None
    talk.echoes.died(letter(label, "wrong_key", "feedback"))
    assert entry.outcome is not None


@pytest.mark.parametrize(
    "answer", [lambda talk: talk.decided(decision()), lambda talk: talk.died(letter(scene(), "duplicate", "scenes"))]
)
def test_answers_that_come_twice_change_nothing(answer: Callable[[Echoes], None]) -> None:
    talk = Conversation()
    [entry] = talk.arrive(scene())
    answer(talk.echoes)
    settled = entry.outcome
    answer(talk.echoes)
    assert entry.outcome is settled
    assert talk.echoes.oldest() is None


def test_what_cannot_be_read_is_settled_and_never_sent() -> None:
    talk = Conversation()
    [entry] = talk.arrive(Refusal(DeadReason.BROKEN_JSON, "no"))
    assert entry.outcome is not None
    assert not talk.sent

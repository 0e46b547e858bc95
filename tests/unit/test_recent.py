from __future__ import annotations

from datetime import UTC, datetime

from builders import decision, feedback, healing, row, scene

from schemas import topics
from schemas.feedback import Feedback
from schemas.names import Origin, Verdict
from schemas.scene import Scene
from streams.kafka import wire
from streams.kafka.dead_letters import Failure, bury
from streams.ops.follow.recent import Recent, follow
from streams.ops.reading.seen import DeathSeen, MarkSeen, Record, RowSeen, SceneSeen, read
from streams.stages.policy import Gate

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORDS = "A little, towards morning."


def sent(topic: str, event: Scene | Feedback, offset: int, **more: object) -> Record:
    message = wire.encode(event, at=AT, **more)  # type: ignore[arg-type]
    return Record(topic, 0, offset, AT.timestamp() + offset, message.key, message.value, message.headers)


def conversation() -> list[Record]:
    """A scene that is healed, comes back and is said; feedback on it, its row; a dead letter; somebody else."""
    first = decision(verdict=Verdict.ANALOGUE, final=False)
    told = healing(nearest_reply="So they said.")
    last = decision(attempt=1, origin=Origin.BRIDGE, healing=told, cue="say: step | near: So they said.")
    spoken = feedback(1, False)
    ready = wire.encode(last, at=AT, stage="resonance")
    tuned = wire.encode_row(row(), scene_id="d:1", stage="threshold", attempt=0, at=AT, outcome="learnt")
    came_back = scene(attempt=1, origin="bridge", healing=told)
    failure = Failure("g", "resonance", "ValueError", f"cannot read {WORDS}", AT)
    letter = bury(sent(topics.SCENES, scene(2), 9).received, failure)
    return [
        sent(topics.SCENES, scene(1), 0),
        sent(topics.ANALOGUE, scene(1), 1, stage="resonance", decision=first),
        sent(topics.SCENES, came_back, 2, stage="bridge"),
        Record(topics.READY, 0, 3, AT.timestamp() + 3, ready.key, ready.value, ready.headers),
        sent(topics.FEEDBACK, spoken, 4),
        Record(topics.SENSITIVITY, 0, 5, AT.timestamp() + 5, tuned.key, tuned.value, tuned.headers),
        Record("scenes.dead", 0, 6, AT.timestamp() + 6, letter.key, letter.value, (("empty", None), *letter.headers)),
        sent(topics.SCENES, scene(1, "other", "somebody"), 7),
    ]


def kept(records: list[Record], most_bytes: int = 10**6) -> Recent:
    recent = Recent(most_bytes)
    for record in records:
        recent.take(record, read(record))
    return recent


def test_a_dialogue_is_followed_across_topics_in_order() -> None:
    recent = kept(conversation())
    found = follow(recent.records("d", None), "d", Gate(), texts=False, whole=True)
    assert [(step.kind, step.turn, step.attempt, step.topic, step.offset) for step in found.steps] == [
        ("scene", 1, 0, "scenes", 0),
        ("decision", 1, 0, "scenes.analogue", 1),
        ("scene", 1, 1, "scenes", 2),
        ("decision", 1, 1, "scenes.ready", 3),
        ("feedback", 1, None, "feedback", 4),
        ("row", 1, None, "sensitivity", 5),
        ("dead letter", 2, 0, "scenes.dead", 6),
    ]
    assert [step.outcome for step in found.steps[4:6]] == ["rejected", "learnt"]
    assert found.steps[3].ledger is not None
    assert found.steps[1].chain
    assert found.whole


def test_words_are_counted_and_not_shown_until_they_may_be() -> None:
    recent = kept(conversation())
    masked = follow(recent.records(None, "u"), None, Gate(), texts=False, whole=True)
    said = masked.model_dump_json()
    assert WORDS not in said
    assert "So they said" not in said
    assert masked.steps[0].draft == f"<{len(WORDS)} characters>"
    assert masked.steps[6].reason == "a stage raised ValueError"
    shown = follow(recent.records(None, "u"), None, Gate(), texts=True, whole=True)
    assert shown.steps[0].draft == WORDS
    assert shown.steps[3].cue == "say: step | near: So they said."
    assert not recent.records("nobody's", None)


def test_memory_is_bounded_and_the_index_goes_with_what_is_let_go() -> None:
    recent = kept(conversation() * 200, most_bytes=20_000)
    assert recent.bytes <= 20_000
    assert recent.let_go == 200 * len(conversation()) - len(recent)
    large = sent(topics.SCENES, scene(1, "large", "w", draft="x" * 3_000_000), 1)
    recent.take(large, SceneSeen("large:1", "large", "w", 0, "fresh", None))
    [one] = recent.records("large", None)
    assert one.value is None
    assert len(follow([one], "large", Gate(), texts=True, whole=True).steps) == 0


def test_longer_dialogues_lose_their_oldest_steps() -> None:
    recent = kept(conversation())
    found = follow(recent.records("d", None), "d", Gate(), texts=False, whole=True, most=2)
    assert [step.offset for step in found.steps] == [5, 6]
    assert (found.cut, found.whole) == (5, False)


def test_what_is_no_event_of_ours_is_not_read() -> None:
    for topic in topics.TOPICS:
        for value in (None, b"", b"\xff", b"[]", b'"x"', b"{}", b'{"dialogue_id": 3}', b"[" * 10_000):
            assert read(Record(topic, 0, 0, None, b"u", value, ())) is None
    mark = Record("scenes.dead", 0, 8, None, b"u", None, (("__dlq.redriven.offset", b"3"),))
    assert isinstance(read(mark), MarkSeen)
    assert read(Record("scenes.dead", 0, 8, None, b"u", b"\x00", ())) == DeathSeen("", "")
    found = read(conversation()[5])
    assert isinstance(found, RowSeen)
    assert (found.stage, found.outcome) == ("threshold", "learnt")


def test_a_letter_whose_dialogue_no_event_may_have_is_no_dialogue() -> None:
    failure = Failure("g", "resonance", "too_long", "", AT)
    huge = Record(topics.SCENES, 0, 1, AT.timestamp(), b"u", b'{"dialogue_id": "%b"}' % (b"x" * 10**5), ())
    letter = bury(huge.received, failure)
    recent = kept([Record("scenes.dead", 0, 6, AT.timestamp(), letter.key, letter.value, letter.headers)])
    assert len(recent) == 1
    assert recent.latest(10) == []

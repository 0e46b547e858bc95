"""The judge passes what a worker that never fails writes, and notices whatever is not so."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from schemas import topics
from schemas.sensitivity import Account, Sensitivity
from streams.kafka.wire import header
from tests.chaos.judge import Findings, judge
from tests.chaos.load import make_load
from tests.chaos.paper_log import PaperLog
from tests.chaos.run import POLICY
from tests.chaos.silence import Answer, longest_silences

CULPRITS = {"poison": "ZeroDivisionError"}


@cache
def written(seed: int) -> PaperLog:
    return PaperLog(make_load(seed, 70, 2, CULPRITS), POLICY).write(random.Random(seed))


def paper_log(seed: int = 1) -> PaperLog:
    log = written(seed)
    return PaperLog(log.load, log.policy, {name: list(records) for name, records in log.topics.items()})


def findings(log: PaperLog) -> Findings:
    return judge(log.topics, log.met(), log.load, POLICY)


@pytest.mark.parametrize("seed", range(5))
def test_what_a_worker_that_never_fails_writes_is_clean_whatever_the_interleaving(seed: int) -> None:
    log = paper_log(seed)
    assert findings(log) == Findings()
    assert all(log.topics[name] for name in (*topics.TOPICS, "scenes.dead", "feedback.dead"))


def drop(topic: str, place: int = 7) -> Callable[[PaperLog], None]:
    return lambda log: log.topics[topic].pop(place) and None


def double(topic: str, place: int = 7) -> Callable[[PaperLog], None]:
    def again(log: PaperLog) -> None:
        record = log.topics[topic][place]
        log.put(topic, record.key, record.value, record.headers)

    return again


def change(topic: str, old: bytes, new: bytes) -> Callable[[PaperLog], None]:
    def changed(log: PaperLog) -> None:
        records = log.topics[topic]
        place = next(place for place, record in enumerate(records) if old in (record.value or b""))
        records[place] = replace(records[place], value=records[place].value.replace(old, new))

    return changed


def move(place: int = 3) -> Callable[[PaperLog], None]:
    def moved(log: PaperLog) -> None:
        record = log.topics[topics.READY].pop(place)
        log.put(topics.WITHHELD, record.key, record.value, record.headers)

    return moved


def alter(topic: str, place: int = 3, **changes: object) -> Callable[[PaperLog], None]:
    def altered(log: PaperLog) -> None:
        records = log.topics[topic]
        records[place] = replace(records[place], **changes)

    return altered


def rename(topic: str, name: str, place: int = 3) -> Callable[[PaperLog], None]:
    def renamed(log: PaperLog) -> None:
        records = log.topics[topic]
        headers = tuple((key, b"another" if key == name else value) for key, value in records[place].headers)
        records[place] = replace(records[place], headers=headers)

    return renamed


def swap_rows(log: PaperLog) -> None:
    rows = log.topics[topics.SENSITIVITY]
    places: dict[bytes | None, list[int]] = defaultdict(list)
    for place, record in enumerate(rows):
        places[record.key].append(place)
    one, other = max(places.values(), key=len)[:2]
    rows[one], rows[other] = (
        replace(rows[other], offset=rows[one].offset),
        replace(rows[one], offset=rows[other].offset),
    )


def drop_echo(log: PaperLog) -> None:
    rows = log.topics[topics.SENSITIVITY]
    rows.remove(next(row for row in rows if header(row.headers, "outcome") == "learnt"))


def drop_last_row(log: PaperLog) -> None:
    """Drop the row of a key's last scene: no row after it stands for that scene as well."""
    rows = log.topics[topics.SENSITIVITY]
    last = {record.key: record for record in rows if (record.key or b"").startswith(b"quiet")}
    before = {record.key: record for record in rows if record.key in last and record is not last[record.key]}
    rows.remove(next(last[key] for key, record in before.items() if record.value != last[key].value))


def start_row_anew(log: PaperLog) -> None:
    rows = log.topics[topics.SENSITIVITY]
    row = Sensitivity.model_validate_json(rows[-1].value)
    rows[-1] = replace(rows[-1], value=Sensitivity(key=row.key, offered=1).model_dump_json().encode())


def err_too_often(log: PaperLog) -> None:
    rows = log.topics[topics.SENSITIVITY]
    row = Sensitivity.model_validate_json(rows[20].value)
    row = row.model_copy(update={"drafts": Account(emitted=5, errors=4)})
    rows[20] = replace(rows[20], value=row.model_dump_json().encode())


@pytest.mark.parametrize(
    ("sabotage", "noticed"),
    [
        (drop(topics.WITHHELD), "lost"),
        (drop(topics.READY), "lost"),
        (drop(topics.ANALOGUE), "lost"),
        (double(topics.READY), "twice"),
        (double(topics.REGENERATE), "twice"),
        (double(topics.SCENES, -1), "twice"),
        (double(topics.SENSITIVITY), "wrong_rows"),
        (drop_last_row, "wrong_rows"),
        (drop_echo, "wrong_rows"),
        (drop(topics.FEEDBACK), "wrong_rows"),
        (swap_rows, "wrong_rows"),
        (start_row_anew, "wrong_rows"),
        (change(topics.SENSITIVITY, b'"offered":3', b'"offered":4'), "wrong_rows"),
        (change(topics.WITHHELD, b'"rule":"ledger.drafts"', b'"rule":"ledger.healed"'), "wrong_outcomes"),
        (change(topics.REGENERATE, b'"codes":3', b'"codes":2'), "wrong_outcomes"),
        (move(), "wrong_outcomes"),
        (alter(topics.READY, key=b"somebody else"), "wrong_outcomes"),
        (alter(topics.WITHHELD, partition=1), "wrong_outcomes"),
        (alter(topics.ANALOGUE, partition=1), "wrong_outcomes"),
        (rename(topics.READY, "ce_id"), "wrong_outcomes"),
        (rename(topics.REGENERATE, "ce_id"), "wrong_outcomes"),
        (rename(topics.ANALOGUE, "decision"), "wrong_outcomes"),
        (rename(topics.SCENES, "ce_source", -1), "wrong_outcomes"),
        (err_too_often, "bound"),
        (drop("scenes.dead", 0), "dead"),
        (double("scenes.dead", 0), "dead"),
        (double("feedback.dead", 0), "dead"),
        (change("scenes.dead", b"{not json", b"{not JSON"), "dead"),
    ],
)
def test_what_is_not_as_it_must_be_is_noticed(sabotage: Callable[[PaperLog], None], noticed: str) -> None:
    log = paper_log()
    met = log.met()
    sabotage(log)
    assert getattr(judge(log.topics, met, log.load, POLICY), noticed)


def test_a_live_consumer_that_meets_less_or_more_than_is_committed_is_noticed() -> None:
    log = paper_log()
    met = log.met()
    assert judge(log.topics, met[1:], log.load, POLICY).lost
    assert judge(log.topics, [*met, met[0]], log.load, POLICY).twice
    assert judge(log.topics, [*met, (topics.READY, 0, 10**6)], log.load, POLICY).twice


def test_a_patient_user_whose_conversation_took_another_course_is_noticed() -> None:
    log = paper_log()
    other = make_load(2, 70, 2, CULPRITS)
    swapped = replace(log.load, patient=other.patient)
    assert judge(log.topics, log.met(), swapped, POLICY).wrong_rows


def test_silence_counts_from_the_last_outcome_or_from_the_scene_that_waited() -> None:
    answers = [
        Answer(0, sent_at=0.0, seen_at=0.5),
        Answer(0, sent_at=0.4, seen_at=4.5),
        Answer(0, sent_at=9.0, seen_at=9.2),
        Answer(1, sent_at=1.0, seen_at=1.1),
        Answer(1, sent_at=6.0, seen_at=8.0),
    ]
    assert longest_silences(answers, since=0.0) == {0: pytest.approx(4.0), 1: pytest.approx(2.0)}
    assert longest_silences(answers, since=1.0) == {0: pytest.approx(3.5), 1: pytest.approx(2.0)}
    assert longest_silences(answers, since=5.0) == {0: pytest.approx(0.2), 1: pytest.approx(2.0)}
    assert longest_silences([], since=0.0) == {}

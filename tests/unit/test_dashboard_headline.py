"""The sentence at the top, for every state of a group, and the page's columns and history of looks."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.kafka.clients import HOW_TO_REACH
from streams.ops.dashboard.headline import Headline, duration, headline
from streams.ops.dashboard.lag_history import MOST_LOOKS, LagHistory
from streams.ops.dashboard.lag_view import lag_document
from streams.ops.dashboard.ours import by_stages
from streams.ops.lag.snapshot import GroupLag, PartitionLag, Snapshot, Verdict
from streams.topology import AGENTS

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STAGES = {agent.reads: agent.stage for agent in AGENTS}
OK = Verdict(health="OK", evidence="caught up")


def partition(number: int = 0, **told: object) -> PartitionLag:
    given = {
        "topic": "scenes",
        "partition": number,
        "committed": 90,
        "earliest": 0,
        "latest": 100,
        "lag": 10,
        "certainty": "exact",
        "age_seconds": 0.4,
        "age_at": AT,
        "age_method": "fetched",
        "rate_in": 5.0,
        "rate_out": 4.0,
        "catch_up_seconds": 2.0,
        "horizon_seconds": None,
        "lost": 0,
        "member": "worker-1",
        "host": "/127.0.0.1",
        "verdict": OK,
    }
    return PartitionLag.model_validate(given | told)


def group(*partitions: PartitionLag, **told: object) -> GroupLag:
    shown = partitions or (partition(),)
    given = {
        "group": "scenestream",
        "state": "Stable",
        "protocol": "classic",
        "members": 1,
        "lag": sum(one.lag or 0 for one in shown),
        "certainty": "exact",
        "age_seconds": max((one.age_seconds or 0.0 for one in shown), default=None),
        "rate_in": 5.0,
        "rate_out": 4.0,
        "catch_up_seconds": 2.0,
        "verdict": shown[0].verdict,
        "partitions": shown,
    }
    return GroupLag.model_validate(given | told)


def snapshot(*groups: GroupLag, **told: object) -> Snapshot:
    given = {
        "cluster": "test",
        "at": AT,
        "took_seconds": 0.1,
        "groups": groups,
        "topics": (),
        "looks": 1,
        "failures": 0,
        "clock_seconds": (told.get("at", AT) - AT).total_seconds(),  # type: ignore[operator]
    }
    return Snapshot.model_validate(given | told)


def said(seen: Snapshot | None, later_seconds: float = 0.0) -> Headline:
    return headline(seen, "scenestream", STAGES, AT + timedelta(seconds=later_seconds), "127.0.0.1:9092")


def test_before_the_first_look() -> None:
    assert said(None).title == "Looking at the cluster"


def test_kafka_away_says_how_old_the_rest_is() -> None:
    error = f"no Kafka answers at 127.0.0.1:9092; {HOW_TO_REACH}"
    away = said(snapshot(group(), error=error), later_seconds=40)
    assert (away.tone, away.title) == ("bad", "Kafka does not answer")
    assert away.words == "No Kafka answers at 127.0.0.1:9092. What stands below is 40 s old; the page goes on trying."
    never = said(snapshot(looks=0, error="no Kafka answers"), later_seconds=40)
    assert never.words == "No Kafka answers. The page goes on trying."


def test_keeping_up() -> None:
    assert said(snapshot(group(partition(lag=0, age_seconds=0.0)))).words == "Everything that came has been read."
    few = said(snapshot(group()))
    assert (few.tone, few.title) == ("good", "Keeping up")
    assert few.words == "10 messages on the way, none older than a second."
    old = said(snapshot(group(partition(age_seconds=4.0), certainty="upper bound")))
    assert old.words == "At most 10 messages wait, the oldest for 4.0 s."
    one = said(snapshot(group(partition(lag=1, age_seconds=4.0))))
    assert one.words == "1 message waits, the oldest for 4.0 s."


def test_falling_behind_says_where_why_and_when_it_will_have_caught_up() -> None:
    slow = Verdict(health="WARN", evidence="in 50/s, out 20/s")
    behind = partition(2, lag=1204, age_seconds=180.0, verdict=slow, catch_up_seconds=360.0)
    told = said(snapshot(group(partition(1), behind, verdict=slow, catch_up_seconds=360.0)))
    assert (told.tone, told.title) == ("warning", "Falling behind at resonance")
    assert told.words == (
        "1,214 messages wait, the oldest for 3 min. Partition 2 of scenes: in 50/s, out 20/s. "
        "At the present rates it will have caught up in about 6 min."
    )
    assert told.done_at == AT.timestamp() + 360
    never = said(snapshot(group(behind, verdict=slow, catch_up_seconds=math.inf)))
    assert never.words.endswith("At the present rates it will never catch up.")
    unknown = said(snapshot(group(behind, verdict=slow, catch_up_seconds=None)))
    assert unknown.words.endswith("When it will have caught up cannot be said yet.")
    assert never.done_at is unknown.done_at is None


def test_nobody_works() -> None:
    stopped = Verdict(health="STOP", evidence="nobody commits")
    told = said(snapshot(group(partition(verdict=stopped, member=None), verdict=stopped, members=0)))
    assert (told.tone, told.title) == ("bad", "No worker is running")
    assert "until a worker starts" in told.words
    idle = said(snapshot(group(partition(lag=0, age_seconds=0.0, member=None), members=0)))
    assert (idle.tone, idle.title) == ("warning", "No worker is running")
    assert said(snapshot(group(members=0))).tone == "bad"
    assert said(snapshot()).title == "No worker has been here yet"


@pytest.mark.parametrize(
    ("health", "title"),
    [("STOP", "Resonance has stopped"), ("STALL", "Resonance is stuck"), ("REWIND", "Resonance went back")],
)
def test_worse_states_have_their_words(health: str, title: str) -> None:
    verdict = Verdict.model_validate({"health": health, "evidence": "so it is"})
    assert said(snapshot(group(partition(verdict=verdict)))).title.startswith(title)


def test_other_groups_in_trouble_are_named() -> None:
    stuck = Verdict(health="STALL", evidence="stuck")
    others = [group(partition(verdict=stuck), group=name, verdict=stuck) for name in ("a", "b", "c", "d")]
    assert said(snapshot(group(), others[0])).words.endswith("Another group on this cluster needs a look: a.")
    assert said(snapshot(group(), *others)).words.endswith(
        "4 other groups on this cluster need a look: a, b, c and others."
    )


def test_a_group_that_may_not_be_looked_at() -> None:
    assert said(snapshot(group(error="not authorized"))).words == "Not authorized."


def test_our_group_is_judged_by_what_stages_read() -> None:
    unknown = Verdict(health="UNKNOWN", evidence="no commit yet")
    table = partition(topic="sensitivity", lag=None, committed=None, verdict=unknown)
    seen = by_stages(
        snapshot(group(partition(), table, verdict=unknown), group(table, group="other")), "scenestream", STAGES
    )
    assert (seen.groups[0].verdict.health, seen.groups[0].lag, len(seen.groups[0].partitions)) == ("OK", 10, 1)
    assert len(seen.groups[1].partitions) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.25, "250 ms"),
        (3.14, "3.1 s"),
        (59.6, "60 s"),
        (600, "10 min"),
        (7260, "2 h 1 min"),
        (7200, "2 h"),
        (200000, "2 days"),
    ],
)
def test_durations_are_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_columns_hold_what_the_look_found_and_json_can_say_it() -> None:
    slow = Verdict(health="WARN", evidence="slow")
    seen = snapshot(
        group(partition(0), group="b"),
        group(partition(1, catch_up_seconds=math.inf, verdict=slow), partition(0, lag=None, member=None), verdict=slow),
    )
    document: Any = json.loads(json.dumps(lag_document(seen, "scenestream", "here", 2.0), allow_nan=False))
    ours = document["groups"][0]
    assert (ours["group"], ours["ours"], ours["lag"]) == ("scenestream", True, 10)
    assert ours["names"] == [["worker-1", "/127.0.0.1"]]
    columns = ours["topics"][0]
    assert columns["partition"] == [0, 1]
    assert columns["lag"] == [None, 10]
    assert columns["catch_up"] == [2.0, "never"]
    assert columns["member"] == [None, 0]
    assert columns["evidence"] == {"1": "slow"}


def test_history_keeps_lag_gaps_and_what_happened() -> None:
    history = LagHistory()
    for number in range(3):
        at = AT + timedelta(seconds=2 * number)
        shown = [partition(0, lag=number)] + ([partition(1, lag=None)] if number else [])
        history.add(snapshot(group(*shown, members=1 + (number == 2)), at=at))
    history.add(snapshot(group(partition(0, lag=99)), at=AT))  # older than the last: a failed look repeats it
    found: Any = history.of_group("scenestream")
    assert [row["lag"] for row in found["rows"]] == [[0, 1, 2], [None, None, None]]
    assert found["at"] == [AT.timestamp() + 2 * number for number in range(3)]
    assert history.of_group("nobody") is None
    assert history.sums(2) == {"at": found["at"][1:], "groups": {"scenestream": [1, 2]}}
    events: Any = history.events()["events"]
    assert [(event["kind"], event["words"]) for event in events] == [("members", "1 member joined: 2 now")]


def test_history_says_who_left_and_what_moved() -> None:
    history = LagHistory()
    history.add(snapshot(group(partition(0), partition(1), members=2)))
    gone = Verdict(health="STOP", evidence="nobody commits")
    history.add(
        snapshot(
            group(partition(0, member="worker-2"), partition(1, member=None), members=0, state="Empty", verdict=gone),
            at=AT + timedelta(seconds=2),
        )
    )
    events: Any = history.events()["events"]
    assert [event["words"] for event in events] == [
        "Stable → Empty",
        "2 members left: 0 now",
        "OK → STOP: nobody commits",
    ]
    history.add(snapshot(group(partition(0), partition(1), verdict=gone), at=AT + timedelta(seconds=4)))
    events = history.events()["events"]
    assert [event["words"] for event in events[3:]] == [
        "Empty → Stable",
        "1 member joined: 1 now",
        "2 partitions changed hands",
    ]


def test_history_is_bounded() -> None:
    history = LagHistory()
    for number in range(MOST_LOOKS + 50):
        history.add(snapshot(group(partition(0, lag=number)), at=AT + timedelta(seconds=number)))
    found: Any = history.of_group("scenestream")
    assert found["rows"][0]["lag"] == list(range(50, MOST_LOOKS + 50))


def test_a_lag_of_many_millions_is_remembered_to_the_last_message() -> None:
    history = LagHistory()
    history.add(snapshot(group(partition(0, lag=2**24 + 1), partition(1, lag=2**40 + 1))))
    found: Any = history.of_group("scenestream")
    assert [row["lag"] for row in found["rows"]] == [[2**24 + 1], [2**40 + 1]]
    assert history.sums(1)["groups"] == {"scenestream": [2**24 + 2**40 + 2]}

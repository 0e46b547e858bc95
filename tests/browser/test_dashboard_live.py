"""The dashboard over a real Kafka: what it shows, held against what is there; what it does; and what it withstands."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from builders import feedback, scene
from chromium import WORST_CONTRAST
from crowd import Crowd
from dashboards import Dashboard, Visit
from figures import RECORD, Looked, per_second, seconds, tiles_of
from kafka_server import Broker, own_broker
from lent import lent
from live import FINAL, Pipeline
from playwright.sync_api import Browser, Locator, Page, expect
from served import Rationed, Turnstile, Watching, admin_behind

from schemas import topics
from schemas.dead import DeadReason
from schemas.topics import dead_topic
from streams.kafka.records import Place
from streams.ops.reading.librdkafka import Complaints
from streams.ops.reading.ranges import reader
from streams.ops.reading.seen import FOLLOWED
from streams.settings import DashboardSettings, KafkaSettings, OpsSettings, Settings

Answer = TypeVar("Answer")
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
EXAMPLES = Path(__file__).parents[2] / "examples"
POISON = "the draft that its models fail on"
RATE_SECONDS = 20.0
LATE_SECONDS = 20.0
KEPT_HOURS = 1
LONG_LOG, LONG_LOG_LINES = "long.jsonl", 4000
LARGE = b'{"draft": "' + b"x" * (10 * 2**20) + b'"}'


def aside(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine in a thread of its own: Playwright's loop has this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def away(call: Callable[[], Answer]) -> Answer:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@dataclass(frozen=True)
class Stage:
    broker: Broker
    pipeline: Pipeline
    dashboard: Dashboard
    folder: Path

    def send(self, turns: range, draft: str | None = None, who: str = "d") -> None:
        async def run() -> None:
            async with self.pipeline.producer() as producer:
                places = [(turn, f"{who}{number}", f"u{number}") for turn in turns for number in range(6)]
                events = [scene(*place, draft=draft or f"what {place[1]} says at {place[0]}") for place in places]
                await self.pipeline.send(producer, events)
                await self.pipeline.send(producer, [feedback(turn, True, *rest) for turn, *rest in places])

        aside(run())

    def send_feedback(self, turns: range) -> None:
        async def run() -> None:
            async with self.pipeline.producer() as producer:
                places = [(turn, f"d{number}", f"u{number}") for turn in turns for number in range(6)]
                await self.pipeline.send(producer, [feedback(turn, True, *rest) for turn, *rest in places])

        aside(run())

    def send_raw(self, topic: str, value: bytes, headers: list[tuple[str, bytes]] | None = None) -> None:
        async def run() -> None:
            kafka = self.pipeline.kafka
            async with AIOKafkaProducer(
                bootstrap_servers=kafka.bootstrap_servers, max_request_size=kafka.max_request_bytes
            ) as producer:
                name = kafka.topic(topic)
                await producer.send_and_wait(name, value, key=b"u1", headers=headers or [])

        aside(run())

    def waiting(self, topic: str) -> int:
        """Return what kafka-consumer-groups would: the log's end less what the group has committed."""

        async def run() -> int:
            kafka = self.pipeline.kafka
            consumer = AIOKafkaConsumer(
                bootstrap_servers=kafka.bootstrap_servers, group_id=kafka.group, enable_auto_commit=False
            )
            await consumer.start()
            try:
                places = [TopicPartition(kafka.topic(topic), number) for number in range(kafka.partitions)]
                consumer.assign(places)
                ends = await consumer.end_offsets(places)
                return sum([ends[place] - (await consumer.committed(place) or 0) for place in places])
            finally:
                await consumer.stop()

        return aside(run())

    def oldest(self, topic: str, partition: int) -> float:
        """Return when what the group has to read next was written, epoch seconds."""

        async def run() -> float:
            kafka = self.pipeline.kafka
            consumer = AIOKafkaConsumer(
                bootstrap_servers=kafka.bootstrap_servers, group_id=kafka.group, enable_auto_commit=False
            )
            await consumer.start()
            try:
                place = TopicPartition(topic, partition)
                consumer.assign([place])
                consumer.seek(place, await consumer.committed(place) or 0)
                return (await asyncio.wait_for(consumer.getone(), 20)).timestamp / 1000
            finally:
                await consumer.stop()

        return aside(run())

    def ends(self) -> dict[Place, tuple[int, int]]:
        """Return the first and the next offset of each partition that the dashboard follows."""

        async def run() -> dict[Place, tuple[int, int]]:
            async with self.pipeline.follow(FOLLOWED) as consumer:
                places = list(consumer.assignment())
                first, next_ = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
                return {Place(*place): (first[place], next_[place]) for place in places}

        return aside(run())


def put_logs(folder: Path) -> Path:
    """Put logs where they may be replayed from; one takes long, and what a reader buffers is little of it."""
    folder.mkdir()
    shutil.copy(EXAMPLES / "scenes.jsonl", folder)
    with (folder / LONG_LOG).open("w") as log:
        for turn in range(LONG_LOG_LINES):
            one = scene(turn, "long", "long", draft=f"what is said at {turn}", task="task " * (50 + turn % 50))
            log.write(one.model_dump_json() + "\n")
    return folder


@pytest.fixture(scope="module")
def stage(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    del browser  # Playwright first: what it stands on must outlive the dashboard.
    folder = tmp_path_factory.mktemp("live")
    lending = lent(own_broker)
    broker = away(lending.__enter__)
    try:
        given = {"kafka__topics__retention_hours": str(KEPT_HOURS), "kafka__topics__max_message_bytes": str(12 * 2**20)}
        pipeline = Pipeline(broker.bootstrap, folder, **given)
        chosen = {"retention_hours": KEPT_HOURS, "max_message_bytes": 12 * 2**20}
        limits = pipeline.kafka.topics.model_copy(update=chosen)
        pipeline.kafka = pipeline.kafka.model_copy(update={"topics": limits})
        aside(pipeline.make_topics())
        environment = {
            **pipeline.environment,
            "SCENESTREAM_OPS__TIMEOUT_SECONDS": "2",
            "SCENESTREAM_OPS__RATE_SECONDS": str(RATE_SECONDS),
            "SCENESTREAM_OPS__LOGS_FOLDER": str(put_logs(folder / "logs")),
            # A replay reads no further ahead than it must.
            "SCENESTREAM_REPLAY__OPEN_SCENES": "8",
        }
        with Dashboard(folder, environment=environment) as dashboard:
            yield Stage(broker, pipeline, dashboard, folder)
    finally:
        away(lambda: lending.__exit__(None, None, None))


def test_lag_rises_and_falls_as_a_worker_stops_and_starts(browser: Browser, stage: Stage) -> None:
    group = stage.pipeline.kafka.group
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go()
        expect(page.locator("h1")).to_have_text("No worker has been here yet")
        with stage.pipeline.worker("one", FAKE_FAILS_ON=POISON) as worker:
            aside(worker.until_ready())
            stage.send(range(1, 11))
            aside(stage.pipeline.outcomes(60))
            expect(page.locator("h1")).to_have_text("Keeping up")
            # What was said of a scene before it was decided is dead; this is learnt.
            stage.send_feedback(range(1, 11))
            stage.send(range(1, 2), POISON, "p")
            while len(aside(stage.pipeline.read(dead_topic(topics.SCENES)))) < 6:
                page.wait_for_timeout(200)
            expect(page.locator("nav .badge")).to_be_visible()
            assert away(worker.terminate) == 0
        waiting = page.locator(f"[data-key='{group}'] [data-figure=lag]")
        visit.go("lag")
        page.evaluate(RECORD, group)
        stage.send(range(11, 41))
        there = stage.waiting(topics.SCENES) + stage.waiting(topics.FEEDBACK)
        assert there >= 360
        expect(waiting).to_have_text(f"≤ {there:,}")
        scenes = stage.pipeline.kafka.topic(topics.SCENES)
        lags, ages = lags_and_ages(page, scenes)
        assert sum(lags.values()) == stage.waiting(topics.SCENES)
        ages_are_those_of_the_oldest(stage, scenes, {place: ages[place] for place, lag in lags.items() if lag})
        expect(page.locator(f"[data-key='{group}'] [data-figure=members]")).to_have_text("0")
        visit.go()
        expect(page.locator("h1")).to_have_text("No worker is running")
        tiles_say_what_waits(page, there, [stage.oldest(scenes, partition) for partition, lag in lags.items() if lag])
        expect(page.locator(".timeline")).to_contain_text("1 member left: 0 now")
        visit.go("lag")
        with stage.pipeline.worker("two") as worker:
            aside(worker.until_ready())
            aside(stage.pipeline.outcomes(240))
            expect(waiting).to_have_text("0")
            expect(page.locator(f"[data-key='{group}'] [data-figure=members]")).to_have_text("1")
            # On a busy machine all may be done within few looks; those at rest are looks as well.
            while len(looks := page.evaluate("window.looks")) <= 3:
                page.wait_for_timeout(200)
            looked = page.evaluate(
                "(group) => fetch(`/api/lag/history?group=${group}`).then((one) => one.json())", group
            )
            visit.go()
            expect(page.locator("h1")).to_have_text("Keeping up")
            stage_rates_are_those_of_the_records(page, stage)
            assert away(worker.terminate) == 0
        assert visit.complaints == []
    assert len(looks) > 3
    rates_are_those_of_the_records(stage, looks, Looked(looked, RATE_SECONDS))
    for look in looks:
        ends_follow_from_the_rates(look)


def lags_and_ages(page: Page, topic: str) -> tuple[dict[int, int], dict[int, list[str]]]:
    rows = page.locator("section[aria-labelledby=partitions-title] tbody tr").all_inner_texts()
    # A partition may be marked as skewed, right behind its number.
    cells = {int(re.findall(r"\d+", row.split()[1])[0]): row.split("\t") for row in rows if row.split()[0] == topic}
    lags = {partition: int(re.sub(r"\D", "", one[2])) for partition, one in cells.items()}
    return lags, {partition: one[4].split() for partition, one in cells.items()}


def ages_are_those_of_the_oldest(stage: Stage, topic: str, ages: dict[int, list[str]]) -> None:
    for partition, (number, unit) in ages.items():
        age = float(number) * {"ms": 0.001, "s": 1, "min": 60}[unit]
        assert age == pytest.approx(time.time() - stage.oldest(topic, partition), abs=10)


def tiles_say_what_waits(page: Page, there: int, unread: list[float]) -> None:
    tiles = tiles_of(page)
    assert tiles["Waiting"] == f"{there:,}"
    age, half = seconds(tiles["Oldest waiting"])
    # Feedback may be older than the oldest scene, by what it took to send both.
    assert abs(time.time() - min(unread) - age) <= 10 + half


def rates_are_those_of_the_records(stage: Stage, looks: list[dict[str, Any]], looked: Looked) -> None:
    """Feedback comes without transactions, so that its offsets are its records; each is answered by a row's echo."""
    found = aside(stage.pipeline.read_all([topics.FEEDBACK, topics.SENSITIVITY]))
    feedback = stage.pipeline.kafka.topic(topics.FEEDBACK)
    seen = {"in": 0, "out": 0}
    for look in looks:
        for row in look["rows"]:
            if row["topic"] != feedback:
                continue
            number = row["partition"]
            came = [one.timestamp / 1000 for one in found[topics.FEEDBACK] if one.partition == number]
            left = [
                one.timestamp / 1000
                for one in found[topics.SENSITIVITY]
                if one.partition == number and "outcome" in dict(one.headers)
            ]
            for figure, moments, late_seconds in (("in", came, 0.0), ("out", left, 6.0)):
                if row[figure] == "–":
                    continue
                shown, half = per_second(row[figure])
                least, most = looked.bounds((feedback, number), look["at"], sorted(moments), late_seconds)
                assert least - half <= shown <= most + half, (figure, row, look["at"])
                seen[figure] += shown > 0
        # What is said of the group is the sum of its partitions.
        for figure in ("in", "out"):
            parts = [per_second(row[figure]) for row in look["rows"] if row[figure] != "–"]
            if look["group"][figure] != "–" and len(parts) == len(look["rows"]):
                shown, half = per_second(look["group"][figure])
                assert abs(shown - sum(one for one, _ in parts)) <= half + sum(each for _, each in parts)
    assert min(seen.values()) > 0


def ends_follow_from_the_rates(look: dict[str, Any]) -> None:
    """Time to catch up, and how long what waits is kept, from what stands beside them and the topic's own setting."""
    for row in look["rows"]:
        lag = int(re.sub(r"\D", "", row["lag"]) or 0)
        if not lag:
            assert row["end"] in {"0 s", "–", "keeping up"}, row
            assert row["kept"] == "–"
            continue
        if row["kept"] != "–":
            kept, half = seconds(row["kept"])
            assert KEPT_HOURS * 3600 - 600 - half < kept <= KEPT_HOURS * 3600 + half
        if "–" in {row["in"], row["out"], row["end"]} or row["end"] == "keeping up":
            continue
        (came, a), (left, b) = per_second(row["in"]), per_second(row["out"])
        if row["end"] == "never":
            assert left - b <= came + a, row
            continue
        end, half = seconds(row["end"])
        assert left + b > came - a, row
        assert end + half >= lag / (left + b - came + a), row
        if left - b > came + a:
            assert end - half <= lag / (left - b - came - a), row


def stage_rates_are_those_of_the_records(page: Page, stage: Stage) -> None:
    """What each stage did and could not do in the last minute, to within the buckets that it is counted in."""
    page.get_by_text("The numbers of each stage").click()
    rows = page.locator("[data-stage]")
    expect(rows).to_have_count(4)
    shown, now = {row.split("\t")[0]: row.split("\t")[1:] for row in rows.all_inner_texts()}, time.time()
    ends = [*FINAL, topics.REGENERATE, topics.ANALOGUE]
    dead = {"resonance": dead_topic(topics.SCENES), "threshold": dead_topic(topics.FEEDBACK)}
    found = aside(stage.pipeline.read_all([*ends, topics.SCENES, topics.SENSITIVITY, *dead.values()]))
    moments: dict[str, list[float]] = {
        "resonance": [one.timestamp for name in ends for one in found[name]],
        "threshold": [
            one.timestamp
            for one in found[topics.SENSITIVITY]
            if dict(one.headers).get("outcome", b"unknown") != b"unknown"
        ],
    }
    for route in ("regeneration", "bridge"):
        moments[route] = [one.timestamp for one in found[topics.SCENES] if json.loads(one.value)["origin"] == route]
    for name, times in moments.items():
        cells = shown[name]
        done, failed = int(cells[3].replace(",", "")), int(cells[4])
        fails = [one.timestamp / 1000 for one in found[dead[name]]] if name in dead else []
        for count, times_of in ((done, [one / 1000 for one in times]), (failed, fails)):
            # A busy machine shows what it knew a moment ago.
            least = sum(now - 48.0 < one < now - LATE_SECONDS for one in times_of)
            most = sum(one > now - 76.0 - LATE_SECONDS for one in times_of)
            assert least <= count <= most, (name, cells)
        rate, half = per_second(cells[2])
        assert done / 76.0 - half <= rate <= done / 48.0 + half, (name, cells)
        share = (
            "–"
            if not done + failed
            else f"{100 * failed / (done + failed):.{0 if failed in {0, done + failed} else 1}f}%"
        )
        assert cells[5] == share
    tiles = tiles_of(page)
    judged, half = per_second(tiles["Scenes judged"])
    assert 0 < judged - half <= len(moments["resonance"]) / 48.0
    for name in (*FINAL, topics.REGENERATE, topics.ANALOGUE):
        told = page.locator(f"[data-key='topic-{name}'] text.small").text_content() or ""
        rate, half = per_second(told.split(" ")[0])
        times = [one.timestamp / 1000 for one in found[name]]
        least = sum(now - 48.0 < one < now - LATE_SECONDS for one in times)
        most = sum(one > now - 76.0 - LATE_SECONDS for one in times)
        assert least / 76.0 - half <= rate <= most / 48.0 + half, (name, told)


def test_figures_are_those_of_the_topics(browser: Browser, stage: Stage) -> None:
    decided = aside(stage.pipeline.outcomes(240))
    verdicts = Counter(one.verdict.value for one in decided)
    healed = sum(one.healing is not None and one.verdict == "ready" for one in decided)
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go()
        shown = [verdicts["ready"] - healed, healed, verdicts["withheld"], verdicts["reasoning"]]
        expect(page.locator(".legend").first.locator("strong")).to_have_text([str(one) for one in shown])
        tiles = tiles_of(page)
        assert tiles["Said"] == f"{100 * verdicts['ready'] / len(decided):.1f}%"
        page = visit.go("verdicts")
        for route, sent in (("regeneration", topics.REGENERATE), ("bridge", topics.ANALOGUE)):
            records = len(aside(stage.pipeline.read(sent)))
            expect(page.locator(f"[data-route={route}] td").first).to_have_text(str(records))
        scenes = aside(stage.pipeline.read(topics.SCENES))
        page = visit.go("lag")
        for partition, count in Counter(one.partition for one in scenes).items():
            row = page.locator(
                f"tr[data-topic='{stage.pipeline.kafka.topic(topics.SCENES)}'][data-partition='{partition}']"
            )
            share = count / len(scenes)
            if share * stage.pipeline.kafka.partitions < 1.5:
                assert row.get_by_text("skewed").count() == 0
                continue
            heaviest = Counter(one.key for one in scenes if one.partition == partition).most_common(3)
            told = re.findall(r"user·([0-9a-f]{8}) (\d+)%", row.inner_text())
            expect(row).to_contain_text(f"{round(100 * share)}% of all scenes")
            assert [int(one) for _, one in told] == [round(100 * each / count) for _, each in heaviest]
            assert len({mask for mask, _ in told}) == 3
            assert not any(key.decode() in row.inner_text() for key, _ in heaviest)
        with page.expect_response("**/metrics") as scraped:
            page.goto(f"{stage.dashboard.address}metrics")
        assert "kafka_consumergroup_group_sum_lag{cluster_name=" in scraped.value.text()


def test_a_dialogue_is_followed_across_topics(browser: Browser, stage: Stage) -> None:
    decided = [one for one in aside(stage.pipeline.outcomes(240)) if one.dialogue_id == "d3"]
    healed = next((one for one in decided if one.healing is not None), decided[0])
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go("dialogue")
        visit.sign_in()
        page.get_by_label("Dialogue or user").fill("d3")
        page.get_by_role("button", name="Follow").click()
        expect(page.locator(".talk .draft").first).to_contain_text("characters>")
        page.get_by_role("switch", name="Words and ids masked").click()
        turn = page.locator(f"[data-key='turn-{healed.scene_id}']")
        expect(turn.locator(".step[data-kind=decision]").last).to_contain_text(healed.verdict.value)
        codes = turn.locator(".step[data-kind=decision]").last.locator(".chain bdi")
        expect(codes).to_have_text([code.code for code in healed.chain])
        expect(turn.locator(".step[data-kind=scene]").first).to_contain_text(f"{topics.SCENES}:")
        expect(turn.locator(".talk .draft").first).to_contain_text("what d3 says at")
        ledgers_are_those_of_the_rows(
            page.locator(".step[data-kind=row]"), aside(stage.pipeline.read(topics.SENSITIVITY))
        )


def test_the_tightest_user_is_the_one_whose_row_leaves_least(browser: Browser, stage: Stage) -> None:
    """By hand from the rows; and whose mask it is, the page says of a dialogue that is asked for by its id."""
    left = {}
    for key, row in aside(stage.pipeline.rows()).items():
        held = row.drafts
        factor = min(2.0, max(0.5, (held.errors + 5) / (held.labelled_risk + 5)))
        bound = 0.1 * held.emitted + 3 + 0.01 * row.offered
        left[key] = bound - held.errors - factor * held.expected
    user = min(left, key=lambda key: (round(left[key], 9), key))
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go("verdicts")
        row = page.locator("tr[data-account=drafts]")
        expect(row).to_have_count(1)
        cells = row.locator("td").all_inner_texts()
        assert (int(cells[1]), float(cells[3])) == (len(left), pytest.approx(left[user], abs=0.006))
        page = visit.go("dialogue")
        visit.sign_in()
        page.get_by_label("Dialogue or user").fill(user.replace("u", "d"))
        page.get_by_role("button", name="Follow").click()
        expect(page.locator("[data-key=told] a")).to_have_text(cells[-1])


def ledgers_are_those_of_the_rows(steps: Locator, records: list[Any]) -> None:
    """By hand from the row at the place that a step names: its errors, its risk, and alpha n + 3 + T / 100."""
    rows = {f"{topics.SENSITIVITY}:{one.partition}:{one.offset}": json.loads(one.value) for one in records if one.value}
    seen = 0
    for text in steps.all_inner_texts():
        row = next(row for place, row in rows.items() if re.search(rf"{place}\b", text))
        told = re.search(r"Ledger, drafts: (\d+) errors? and ([\d.]+) expected, of at most ([\d.]+)", text)
        assert told, text
        held = row["drafts"]
        assert int(told[1]) == held["errors"]
        assert float(told[2]) == pytest.approx(held["expected"], abs=0.006)
        assert float(told[3]) == pytest.approx(0.1 * held["emitted"] + 3 + 0.01 * row["offered"], abs=0.006)
        seen += held["emitted"] > 0
    assert seen


def test_a_dead_letter_is_sent_back_after_a_dry_run(browser: Browser, stage: Stage) -> None:
    with Visit(browser, stage.dashboard.address) as visit, stage.pipeline.worker("three") as worker:
        aside(worker.until_ready())
        page = visit.go("dead")
        group = page.locator("article[data-reason=ZeroDivisionError]")
        expect(group.locator("[data-figure=letters]")).to_have_text("6 letters")
        expect(group).to_contain_text("Sign in to send letters back")
        visit.sign_in()
        expect(group.get_by_role("button", name="Send back")).to_be_disabled()
        group.get_by_role("button", name="Dry run").click()
        expect(group).to_contain_text("A dry run: 6 letters would be sent back")
        assert len(aside(stage.pipeline.outcomes(246, quiet_seconds=2.0))) == 240
        group.get_by_role("button", name="Send 6 back").click()
        expect(group).to_have_count(0)
        assert len(aside(stage.pipeline.outcomes(246))) == 246
        assert away(worker.terminate) == 0


def test_a_hostile_dead_letter_runs_no_script(browser: Browser, stage: Stage) -> None:
    hostile = HOSTILE.encode()
    headers = [
        ("__dlq.errors.topic", stage.pipeline.kafka.topic(topics.SCENES).encode()),
        ("__dlq.errors.stage", hostile),
        ("__dlq.errors.exception", hostile),
        ("__dlq.errors.message", hostile),
    ]
    stage.send_raw(dead_topic(topics.SCENES), json.dumps({"draft": HOSTILE, "type": HOSTILE}).encode(), headers)
    stage.send_raw(dead_topic(topics.SCENES), b"\x00\xff" + hostile, headers)
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go("dead")
        group = page.locator("article", has_text="<img src=x")
        expect(group.locator("[data-figure=letters]")).to_have_text("2 letters")
        for switched in (False, True):
            if switched:
                visit.sign_in()
                page.get_by_role("switch", name="Words and ids masked").click()
                expect(page.locator("main")).to_contain_text("Words and ids are shown as they are")
            for summary in group.locator("summary").all():
                summary.click()
            page.wait_for_timeout(200)
            assert page.locator("img, iframe, main script").count() == 0
            assert page.title() == "Dead letters · scenestream"
            assert len(page.locator("main").inner_text()) < 30_000
        assert visit.complaints == []


def test_letters_that_come_after_a_dry_run_are_shown_and_in_none(browser: Browser, stage: Stage) -> None:
    def put(number: int) -> None:
        body = json.dumps({"draft": f"letter {number}"}).encode()
        stage.send_raw(dead_topic(topics.SCENES), body, [("__dlq.errors.exception", b"made_up")])

    put(1)
    put(2)
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go("dead")
        visit.sign_in()
        page.get_by_role("switch", name="Words and ids masked").click()
        group = page.locator("article[data-reason=made_up]")
        expect(group.locator("[data-figure=letters]")).to_have_text("2 letters")
        group.get_by_role("button", name="Dry run").click()
        expect(group.get_by_role("button", name="Send 2 back")).to_be_enabled()
        put(3)
        expect(group.locator("[data-figure=letters]")).to_have_text("3 letters")
        expect(page.locator("main")).to_contain_text("Words and ids are shown as they are.")
        expect(group.locator("pre", has_text="letter 3")).to_have_count(1)
        expect(group.get_by_role("button", name="Send back")).to_be_disabled()
        assert visit.complaints == []


def test_a_letter_of_ten_megabytes_is_shown_in_little_and_sent_back_whole(browser: Browser, stage: Stage) -> None:
    reason = DeadReason.TOO_LONG.value
    stage.send_raw(dead_topic(topics.SCENES), LARGE, [("__dlq.errors.exception", reason.encode())])
    before = stage.dashboard.most_megabytes()
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go("dead")
        group = page.locator(f"article[data-reason={reason}]")
        expect(group.locator("[data-figure=letters]")).to_have_text("1 letter")
        group.locator("summary").first.click()
        expect(group).to_contain_text("10.5 MB, cut here")
        assert "xxxx" not in group.inner_text()
        visit.sign_in()
        page.get_by_role("switch", name="Words and ids masked").click()
        expect(group.locator("pre")).to_contain_text("xxxx")
        assert len(group.inner_text()) < 6_000
        group.get_by_role("button", name="Dry run").click()
        expect(group).to_contain_text("A dry run: 1 letter would be sent back")
        group.get_by_role("button", name="Send 1 back").click()
        expect(group).to_have_count(0)
        assert visit.complaints == []
    assert any(one.value == LARGE for one in aside(stage.pipeline.read(topics.SCENES)))
    # It is read, sent, and read again from where it went: a few copies at a time.
    assert stage.dashboard.most_megabytes() - before < 250


def test_a_wrong_token_changes_nothing(browser: Browser, stage: Stage) -> None:
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go("dead")
        visit.sign_in("wrong")
        expect(page.get_by_role("alert").filter(has_text="that is not the token")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        assert page.locator("[data-do=dry]").count() == 0
        told = page.evaluate(
            """async () => {
              const ask = (path, body, headers = {}) => fetch(path, { method: "POST", body: JSON.stringify(body),
                headers: { "Content-Type": "application/json", ...headers } }).then((one) => one.status);
              const name = { topic: "scenes", stage: "resonance", reason: "broken_json" };
              return [await ask("/api/letters/redrive", { name, dry_run: false }),
                await ask("/api/letters/redrive", { name, dry_run: true }, { "X-CSRF-Token": "x" }),
                await fetch("/api/letters?texts=1").then((one) => one.status)];
            }"""
        )
        assert told == [401, 401, 401]


def test_a_replay_is_started_and_followed_from_the_page(browser: Browser, stage: Stage) -> None:
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go("replays")
        expect(page.locator("main")).to_contain_text("Sign in to start a replay")
        visit.sign_in()
        page.locator("select[name=log]").select_option("scenes.jsonl")
        page.get_by_label("Scenes at most").fill("4")
        page.get_by_role("button", name="Start").click()
        job = page.locator("[data-state=done]")
        expect(job).to_contain_text("4 scenes", timeout=90_000)
        expect(page.locator("section[aria-labelledby=runs-title] tbody td").first).to_have_text("4")
        page.locator("select[name=kind]").select_option("range")
        page.locator("input[name=since]").fill("2001-01-01T00:00:00")
        page.locator("input[name=until]").fill("2001-01-02T00:00:00")
        page.get_by_role("button", name="Start").click()
        expect(page.locator("[data-state=failed]")).to_contain_text("no scene came in that time")
        with page.expect_navigation():
            job.get_by_role("link", name="Its report").click()
        expect(page.locator("h1")).to_contain_text("of 4 scenes")


def test_the_share_of_a_running_replay_is_what_it_has_read(browser: Browser, stage: Stage) -> None:
    """It is halted where it is: the kernel knows how far in the log that is, and the log how far its scenes reach."""
    log = stage.folder / "logs" / LONG_LOG
    reaches = list(accumulate((len(line) for line in log.read_bytes().splitlines(keepends=True)), initial=0))
    whole, half = log.stat().st_size, 0.005
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go("replays")
        visit.sign_in()
        page.locator("select[name=log]").select_option(LONG_LOG)
        page.get_by_role("button", name="Start").click()
        replay = stage.dashboard.replay_of(log)
        job, at = page.locator("article.job").first, 0
        while True:
            at = replay.halt_beyond(at + whole // 25)
            # What it told last is on the page soon, if it told anything yet.
            with suppress(AssertionError):
                expect(job).to_contain_text("% of the log", timeout=2000)
            told = re.search(r"([\d,]+) scenes?, (\d+)% of the log", job.inner_text())
            if told is not None:
                break
            replay.go_on()
        scenes, share = int(told[1].replace(",", "")), int(told[2]) / 100
        assert 0 < reaches[scenes] / whole - half <= share <= at / whole + half
        assert reaches[scenes] / whole <= float(job.locator("progress").get_attribute("value") or 0) <= at / whole
        page.get_by_role("button", name="Stop").click()
        replay.go_on()
        expect(job).to_have_attribute("data-state", "stopped", timeout=90_000)
        [summary] = (stage.folder / "runs").glob("*-long-*/summary.json")
        expect(job).to_contain_text(f"{json.loads(summary.read_text())['scenes']:,} scenes")
        expect(job).not_to_contain_text("of the log")


def held_back(stage: Stage) -> Settings:
    """Settings for a look around that no window of time bounds."""
    ops = OpsSettings(every_seconds=0.5, pulse_minutes=240.0)
    return Settings(kafka=stage.pipeline.kafka, ops=ops, dashboard=DashboardSettings(every_seconds=0.5))


def test_a_look_took_as_long_as_kafka_was_kept_from_answering(
    browser: Browser, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a look asks first, and last, waits until the test lets it through: so much it took at least."""
    gate = Turnstile()
    monkeypatch.setattr("streams.ops.lag.cluster.AdminClient", admin_behind(gate))

    def took(page: Page) -> tuple[float, float]:
        told = re.search(r"the last look took ([^.]+(?:\.\d)? m?s)\b", page.locator("[data-key=how]").inner_text())
        assert told
        return seconds(told[1])

    began = time.monotonic()
    with ExitStack() as ended:
        served = ended.enter_context(Watching(held_back(stage)))
        ended.callback(gate.open)
        visit = ended.enter_context(Visit(browser, served.address))
        asks = gate.until_one_waits()
        page = visit.page
        page.goto(f"{served.address}#/lag")
        expect(page.locator("[data-key=empty]")).to_contain_text("The first look at the cluster is on its way")
        page.wait_for_timeout(700)
        least = gate.let_one_through() - asks
        asks = gate.until_one_waits()
        page.wait_for_timeout(300)
        least += (over := gate.let_one_through()) - asks
        # The next look is kept from beginning, so this one is the last.
        asks = gate.until_one_waits()
        panel = page.locator(".groups")
        expect(panel).to_be_visible()
        shown, half = took(page)
        assert least - half <= shown <= time.monotonic() - began + half
        looked = panel.get_attribute("data-at") or ""
        least = gate.let_one_through() - asks
        gate.until_one_waits()
        expect(panel).not_to_have_attribute("data-at", looked)
        shown, half = took(page)
        assert least - half <= shown <= time.monotonic() - over + half
        assert visit.complaints == []


def test_what_the_dashboard_has_yet_to_read_is_what_lies_there(
    browser: Browser, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tails: list[Rationed] = []

    def rationed(kafka: KafkaSettings, complaints: Complaints) -> Rationed:
        tails.append(Rationed(reader(kafka, complaints), records=0))
        return tails[-1]

    monkeypatch.setattr("streams.ops.tail.reader", rationed)
    ends = stage.ends()
    assert sum(next_ - first for first, next_ in ends.values()) > 1000
    with Watching(held_back(stage)) as served, Visit(browser, served.address) as visit:
        page = visit.go("verdicts")
        told = page.locator("[data-key=reading]")
        for let_through in (0, 300):
            [tail] = tails
            tail.records = let_through
            while tail.records:
                page.wait_for_timeout(50)
            left = sum(next_ - tail.given.get(place, first) for place, (first, next_) in ends.items())
            expect(told).to_contain_text(f"The dashboard itself is still reading: {left:,} records to go,")
        tail.records = 1_000_000
        expect(told).to_have_count(0)
        assert visit.complaints == []


# Keeps when each stream was asked for, by the page's own clock.
STREAMS = """
  window.asked = [];
  window.EventSource = class extends EventSource {
    constructor(...given) {
      window.asked.push(Date.now());
      super(...given);
    }
  };
"""


def test_a_page_that_is_one_too_many_says_so_asks_seldom_and_comes_back(browser: Browser, stage: Stage) -> None:
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.page
        # Its waiting is cut short; the server's is not.
        page.clock.install()
        page.add_init_script(STREAMS)
        with Crowd(stage.dashboard.address):
            page.goto(f"{stage.dashboard.address}#/lag")
            trouble = page.get_by_role("alert").first
            expect(trouble).to_contain_text(
                "The dashboard says: too many pages are open at this dashboard; close some."
            )
            expect(page.locator("#live")).to_have_attribute("data-state", "away")
            while len(asked := page.evaluate("window.asked")) < 4:
                page.clock.fast_forward(2000)
                page.wait_for_timeout(20)
            # The server asked for fifteen seconds, and the fourth time would be due after eight.
            assert min(after - before for before, after in pairwise(asked)) >= 15_000
            expect(page.locator("#live")).to_have_attribute("data-state", "away")
        while page.locator("#live").get_attribute("data-state") != "live":
            page.clock.fast_forward(2000)
            page.wait_for_timeout(20)
        expect(trouble).to_be_hidden()
        expect(page.locator(".groups")).to_contain_text(stage.pipeline.kafka.group)
        assert [one for one in visit.complaints if "503" not in one] == []


def test_many_tabs_share_one_stream(browser: Browser, stage: Stage) -> None:
    context = browser.new_context()
    pages = [context.new_page() for _ in range(8)]
    streams: list[str] = []
    for page in pages:
        page.on("request", lambda request: streams.append(request.url) if request.url.endswith("/api/events") else None)
        page.goto(f"{stage.dashboard.address}#/lag")
        expect(page.locator(".groups tbody tr").first).to_be_visible()
    assert len(streams) == 1
    # Whoever listened for all goes; another takes over.
    pages[0].close()
    pages[1].wait_for_timeout(500)
    expect(pages[-1].locator("#live")).to_have_attribute("data-state", "live")
    assert len(streams) == 2
    context.close()


def test_a_broker_that_goes_away_is_told_and_comes_back(browser: Browser, stage: Stage) -> None:
    with Visit(browser, stage.dashboard.address, scheme="dark", width=390) as visit:
        page = visit.go()
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        away(stage.broker.kill)
        expect(page.locator("h1")).to_have_text("Kafka does not answer")
        expect(page.locator(".headline")).to_contain_text("old; the page goes on trying")
        expect(page.locator(".tree > li[data-tone=unknown]")).to_have_count(4)
        expect(page.locator("#live")).to_contain_text("last look")
        page = visit.go("lag")
        expect(page.get_by_role("alert").first).to_contain_text("Kafka does not answer")
        expect(page.locator(".groups")).to_contain_text(stage.pipeline.kafka.group)
        ratio, where = page.evaluate(WORST_CONTRAST)
        assert ratio >= 4.5, where
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        away(stage.broker.start)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        expect(page.get_by_role("alert").first).to_be_hidden()


def test_it_ends_when_it_is_told_to(browser: Browser, stage: Stage) -> None:
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go()
        assert stage.dashboard.end() == 0
        expect(page.get_by_role("alert").first).to_contain_text("The dashboard itself does not answer")

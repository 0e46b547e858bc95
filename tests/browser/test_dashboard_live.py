"""The dashboard over a real Kafka: what it shows, held against what is there; what it does; and what it withstands."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from builders import feedback, scene
from chromium import WORST_CONTRAST, chromium
from dashboards import Dashboard, Visit
from kafka_server import Broker, own_broker
from lent import lent
from live import Pipeline
from playwright.sync_api import Browser, expect

from schemas import topics
from schemas.dead import DeadReason
from schemas.topics import dead_topic

Answer = TypeVar("Answer")
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
EXAMPLES = Path(__file__).parents[2] / "examples"
POISON = "the draft that its models fail on"


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

    def send(self, turns: range, draft: str | None = None, who: str = "d") -> None:
        async def run() -> None:
            async with self.pipeline.producer() as producer:
                places = [(turn, f"{who}{number}", f"u{number}") for turn in turns for number in range(6)]
                events = [scene(*place, draft=draft or f"what {place[1]} says at {place[0]}") for place in places]
                await self.pipeline.send(producer, events)
                await self.pipeline.send(producer, [feedback(turn, True, *rest) for turn, *rest in places])

        aside(run())

    def send_raw(self, topic: str, value: bytes, headers: list[tuple[str, bytes]] | None = None) -> None:
        async def run() -> None:
            async with self.pipeline.producer() as producer:
                name = self.pipeline.kafka.topic(topic)
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def stage(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    del browser  # Playwright first: what it stands on must outlive the dashboard.
    folder = tmp_path_factory.mktemp("live")
    lending = lent(own_broker)
    broker = away(lending.__enter__)
    try:
        pipeline = Pipeline(broker.bootstrap, folder)
        aside(pipeline.make_topics())
        environment = {
            **pipeline.environment,
            "SCENESTREAM_OPS__TIMEOUT_SECONDS": "2",
            "SCENESTREAM_OPS__LOGS_FOLDER": str(EXAMPLES),
        }
        with Dashboard(folder, environment=environment) as dashboard:
            yield Stage(broker, pipeline, dashboard)
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
            stage.send(range(1, 2), POISON, "p")
            while len(aside(stage.pipeline.read(dead_topic(topics.SCENES)))) < 6:
                page.wait_for_timeout(200)
            expect(page.locator("nav .badge")).to_be_visible()
            assert away(worker.terminate) == 0
        stage.send(range(11, 41))
        waiting = page.locator(f"[data-key='{group}'] [data-figure=lag]")
        visit.go("lag")
        there = stage.waiting(topics.SCENES) + stage.waiting(topics.FEEDBACK)
        assert there >= 360
        expect(waiting).to_have_text(f"≤ {there:,}")
        rows = page.locator("section[aria-labelledby=partitions-title] tbody tr")
        scenes = stage.pipeline.kafka.topic(topics.SCENES)
        # A partition may be marked as skewed, right behind its number.
        cells = {
            int(re.findall(r"\d+", row.split()[1])[0]): row.split("\t")
            for row in rows.all_inner_texts()
            if row.split()[0] == scenes
        }
        lags = {partition: int(re.sub(r"\D", "", one[2])) for partition, one in cells.items()}
        ages = {partition: one[4].split() for partition, one in cells.items()}
        assert sum(lags.values()) == stage.waiting(topics.SCENES)
        for partition in (partition for partition, lag in lags.items() if lag):
            age = float(ages[partition][0]) * {"ms": 0.001, "s": 1, "min": 60}[ages[partition][1]]
            assert age == pytest.approx(time.time() - stage.oldest(scenes, partition), abs=10)
        visit.go()
        expect(page.locator("h1")).to_have_text("No worker is running")
        expect(page.locator(".timeline")).to_contain_text("1 member left: 0 now")
        with stage.pipeline.worker("two") as worker:
            aside(worker.until_ready())
            aside(stage.pipeline.outcomes(240))
            expect(page.locator("h1")).to_have_text("Keeping up")
            visit.go("lag")
            expect(waiting).to_have_text("0")
            assert away(worker.terminate) == 0
        assert visit.complaints == []


def test_figures_are_those_of_the_topics(browser: Browser, stage: Stage) -> None:
    decided = aside(stage.pipeline.outcomes(240))
    verdicts = Counter(one.verdict.value for one in decided)
    healed = sum(one.healing is not None and one.verdict == "ready" for one in decided)
    with Visit(browser, stage.dashboard.address) as visit:
        page = visit.go()
        shown = [verdicts["ready"] - healed, healed, verdicts["withheld"], verdicts["reasoning"]]
        expect(page.locator(".legend").first.locator("strong")).to_have_text([str(one) for one in shown])
        page = visit.go("verdicts")
        for route, sent in (("regeneration", topics.REGENERATE), ("bridge", topics.ANALOGUE)):
            records = len(aside(stage.pipeline.read(sent)))
            expect(page.locator(f"[data-route={route}] td").first).to_have_text(str(records))
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
    huge = b'{"draft": "' + b"x" * 900_000 + b'"}'
    stage.send_raw(dead_topic(topics.SCENES), huge, [("__dlq.errors.exception", DeadReason.TOO_LONG.value.encode())])
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

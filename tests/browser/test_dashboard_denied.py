"""Kafka's access rules leave the dashboard's user out of some topics: the page says which, and shows the others."""

from __future__ import annotations

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import scene
from confluent_kafka.admin import AclOperation, ResourceType
from dashboards import Dashboard, Visit
from guarded import ACCESS_RULES, allow, guarded_broker
from live import Pipeline
from playwright.sync_api import Browser, expect

from schemas import topics
from schemas.topics import dead_topic
from streams.kafka.topics_admin import specs

PASSWORD = "not-told-to-anyone"  # noqa: S105 - of a broker that lives for a test
UNREAD, UNREAD_DEAD, UNKNOWN_DEAD = topics.WITHHELD, dead_topic(topics.REGENERATE), dead_topic(topics.ANALOGUE)


def let(bootstrap: str, pipeline: Pipeline) -> None:
    """Let the user see groups and topics, and read all but three of them, of which one they may not even know."""
    allow(bootstrap, "viewer", ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE)
    allow(bootstrap, "viewer", ResourceType.GROUP, "*", AclOperation.DESCRIBE)
    half = {pipeline.kafka.topic(name) for name in (UNREAD, UNREAD_DEAD)}
    for name in {spec.name for spec in specs(pipeline.kafka)} - {pipeline.kafka.topic(UNKNOWN_DEAD)}:
        allow(
            bootstrap, "viewer", ResourceType.TOPIC, name, AclOperation.DESCRIBE if name in half else AclOperation.READ
        )


async def put_something(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    async with pipeline.producer() as producer:
        await pipeline.send(producer, [scene(1, "evening", "mirela")])
        await producer.send_and_wait(pipeline.kafka.topic(UNREAD), b"{}", key=b"mirela")
        headers = [("__dlq.errors.exception", b"broken_json"), ("__dlq.errors.stage", b"resonance")]
        for name in (topics.SCENES, topics.REGENERATE, topics.ANALOGUE):
            await producer.send_and_wait(
                pipeline.kafka.topic(dead_topic(name)), b"{broken", key=b"mirela", headers=headers
            )


def test_what_may_not_be_read_is_named_and_hides_nothing_else(browser: Browser, tmp_path: Path) -> None:
    if os.environ.get("CI") != "true" and shutil.which("keytool") is None:
        pytest.skip("NO JAVA, ACCESS RULES NOT TESTED")
    with ThreadPoolExecutor(1) as aside:
        broker, port = aside.submit(guarded_broker, tmp_path, {"viewer": PASSWORD}, ACCESS_RULES).result()
        try:
            aside.submit(broker.start).result()
            pipeline = Pipeline(broker.bootstrap, tmp_path)
            aside.submit(asyncio.run, put_something(pipeline)).result()
            let(broker.bootstrap, pipeline)
            environment = {
                **pipeline.environment,
                "SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
                "SCENESTREAM_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
                "SCENESTREAM_KAFKA__SASL_USERNAME": "viewer",
                "SCENESTREAM_KAFKA__SASL_PASSWORD": PASSWORD,
                "SCENESTREAM_KAFKA__SSL_CA_FILE": str(tmp_path / "ca.pem"),
            }
            with Dashboard(tmp_path, environment=environment) as dashboard:
                look_around(browser, dashboard, pipeline)
        finally:
            aside.submit(broker.close).result()


def look_around(browser: Browser, dashboard: Dashboard, pipeline: Pipeline) -> None:
    def told(name: str, operation: str) -> str:
        return f"{pipeline.kafka.topic(name)} cannot be read: Kafka's access rules do not allow {operation} on it"

    with Visit(browser, dashboard.address) as visit:
        page = visit.go()
        expect(page.locator(".headline")).to_contain_text(told(UNREAD, "Read"))
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        page = visit.go("dead")
        expect(page.locator(".letter-group")).to_have_count(1)
        expect(page.locator("article [data-figure=letters]")).to_have_text("1 letter")
        expect(page.locator("main")).to_contain_text(told(UNREAD_DEAD, "Read"))
        expect(page.locator("main")).to_contain_text(told(UNKNOWN_DEAD, "Describe"))
        visit.sign_in()
        page.get_by_role("button", name="Dry run").click()
        page.get_by_role("button", name="Send 1 back").click()
        expect(page.locator("article .wrong")).to_contain_text("refuses this user")
        page = visit.go("verdicts")
        expect(page.locator("#view")).to_contain_text(told(UNREAD, "Read"))
        page = visit.go("dialogue/dialogue/evening")
        expect(page.locator(".step[data-kind=scene]")).to_have_count(1)
        expect(page.locator("#view")).to_contain_text(told(UNREAD, "Read"))
        searched = page.evaluate("fetch('/api/dialogue/scan?dialogue=evening').then((one) => one.text())")
        assert told(UNREAD, "Read") in searched
        assert '"kind":"scene"' in searched
        assert [one for one in visit.complaints if "503" not in one] == []

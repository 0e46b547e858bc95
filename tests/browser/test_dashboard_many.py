"""Two hundred partitions in each of twenty groups: what a look costs the server and the page, in processor time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from chromium import WORST_CONTRAST
from dashboards import Visit
from playwright.sync_api import Browser, expect
from served import MadeUp

from streams.ops.lag.snapshot import GroupLag, PartitionLag, Snapshot, Verdict

GROUPS, PARTITIONS, LOOKS = 20, 200, 40
BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
# A tag of each tone, as verdicts have them.
TONES = """document.querySelector("h1").append(...["good", "warning", "bad", "unknown"].map((tone) => {
  const tag = Object.assign(document.createElement("span"), { className: "tag", textContent: tone });
  tag.dataset.tone = tone;
  return tag;
}))"""
OK = Verdict(health="OK", evidence="keeping up")


def look(number: int) -> Snapshot:
    def partition(group: int, one: int) -> PartitionLag:
        lag = (group * 31 + one * 7 + number * 3) % 400
        return PartitionLag.model_construct(
            topic="scenes", partition=one, committed=1000, earliest=0, latest=1000 + lag, lag=lag, certainty="exact",
            age_seconds=lag / 10, age_at=BEGAN, age_method="fetched", rate_in=1.0, rate_out=1.0, catch_up_seconds=0.0,
            horizon_seconds=1e5, lost=0, member=f"member-{one % 8}", host="/127.0.0.1", verdict=OK,
        )  # fmt: skip

    groups = tuple(
        GroupLag.model_construct(
            group=f"group-{group:02d}", state="Stable", protocol="classic", members=8, lag=1, certainty="exact",
            age_seconds=1.0, rate_in=1.0, rate_out=1.0, catch_up_seconds=0.0, verdict=OK,
            partitions=tuple(partition(group, one) for one in range(PARTITIONS)), error=None,
        )
        for group in range(GROUPS)
    )  # fmt: skip
    return Snapshot.model_construct(
        cluster="many", at=BEGAN + timedelta(seconds=2 * number), clock_seconds=2.0 * number,
        took_seconds=0.1, groups=groups, topics=(),
        looks=number + 1, failures=0, error=None,
    )  # fmt: skip


class Many(MadeUp):
    """The page over many looks; `seconds` of processor time a published look took."""

    def __init__(self) -> None:
        self.number = 0
        self.seconds: list[float] = []
        super().__init__()

    def publish(self) -> None:
        self.within(self._publish)

    def _publish(self) -> None:
        snapshot = look(self.number)
        self.number += 1
        began = time.thread_time()
        self.show(snapshot, "group-00")
        self.seconds.append(time.thread_time() - began)


@pytest.fixture
def served(browser: Browser) -> Iterator[Many]:
    del browser  # first in, last out
    with Many() as one:
        yield one


def test_four_thousand_partitions_stay_smooth(browser: Browser, served: Many) -> None:
    for _ in range(LOOKS):
        served.publish()
    with Visit(browser, served.address) as visit:
        page = visit.go("lag")
        rows = page.locator("section[aria-labelledby=partitions-title] tbody tr")
        expect(page.locator(".groups tbody tr")).to_have_count(GROUPS)
        expect(rows).to_have_count(24)
        expect(page.locator("#heat-title")).to_contain_text(f"{PARTITIONS} partitions")
        strips = page.evaluate("[...document.querySelectorAll('[data-strip]')].map((one) => one.width)")
        assert strips == [PARTITIONS] * GROUPS
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def spent() -> float:
            told = session.send("Performance.getMetrics")["metrics"]
            return float(next(one["value"] for one in told if one["name"] == "TaskDuration"))

        before, looks = spent(), 8
        for _ in range(looks):
            served.publish()
            expect(page.locator(".frame canvas")).to_have_js_property("width", served.number)
        assert (spent() - before) / looks < 0.25
        # The picture at a moment says what the look said then.
        page.locator(".frame").focus()
        page.keyboard.press("ArrowDown")
        last = look(served.number - 1).groups[0].partitions[1].lag
        expect(page.locator(".frame .tip")).to_contain_text("scenes 1 at")
        expect(page.locator(".frame .tip")).to_contain_text(f": {last} waiting")
        # Every tone that a verdict may have can be read, not those alone that are there now.
        page.evaluate(TONES)
        ratio, where = page.evaluate(WORST_CONTRAST)
        assert ratio >= 4.5, where
        page.get_by_role("button", name="All 200").click()
        expect(rows).to_have_count(PARTITIONS)
        # What has no room on a phone is reached by scrolling.
        for region in page.locator(".scroll").all():
            expect(region).to_have_css("overflow-x", "auto")
        assert visit.complaints == []
    assert sorted(served.seconds)[len(served.seconds) // 2] < 0.25

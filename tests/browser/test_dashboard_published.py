"""The page over looks that a test publishes: what only a moment shows, at every width, and nothing of it by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

import pytest
from dashboards import Visit
from figures import tiles_of
from looked_at import is_whole_and_legible
from playwright.sync_api import Browser, Page, expect
from served import MadeUp

from streams.ops.dashboard.map_view import map_document
from streams.ops.lag.found import FoundGroup
from streams.ops.lag.snapshot import GroupLag, Health, PartitionLag, Snapshot, Verdict
from streams.ops.lag.sums import summed

OURS = "scenestream"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WIDTHS = (1400, 800, 390)


class Published(MadeUp):
    """A page with the map, over snapshots of one moment."""

    def __init__(self) -> None:
        super().__init__()
        self.within(lambda: self.feed.publish("topology", map_document(str)))

    def publish(self, *groups: GroupLag) -> None:
        snapshot = Snapshot.model_construct(
            cluster="made up", at=NOON, clock_seconds=0.0, took_seconds=0.1, groups=groups, topics=(), looks=1,
            failures=0, error=None,
        )  # fmt: skip

        self.within(lambda: self.show(snapshot, OURS))


def partition(number: int, lag: int | None, health: Health = "OK", evidence: str = "", **more: object) -> PartitionLag:
    given: dict[str, object] = {
        "topic": "scenes", "committed": 100, "earliest": 0, "latest": 100 + (lag or 0), "certainty": "exact",
        "age_seconds": None if lag is None else 0.0, "age_at": NOON, "age_method": "fetched", "rate_in": 1.0,
        "rate_out": 1.0, "catch_up_seconds": 0.0, "horizon_seconds": None, "lost": 0, "member": None, "host": None,
    }  # fmt: skip
    verdict = Verdict(health=health, evidence=evidence)
    return PartitionLag.model_construct(**given | {"partition": number, "lag": lag, "verdict": verdict} | more)


def group_of(name: str, members: int, partitions: Sequence[PartitionLag]) -> GroupLag:
    """Return the group of these partitions, as a look sums them up."""
    found = FoundGroup(name, "Stable" if members else "Empty", "classic", 0.0)
    return summed(found, list(partitions)).model_copy(update={"members": members})


@pytest.fixture
def served(browser: Browser) -> Iterator[Published]:
    del browser  # first in, last out
    with Published() as one:
        yield one


def row_of(page: Page, group: str) -> list[str]:
    return page.locator(f".groups tr[data-key='{group}'] > *").all_inner_texts()


def test_what_stands_of_groups_and_partitions_is_what_was_published(browser: Browser, served: Published) -> None:
    behind = partition(
        0, 4000, "WARN", "it commits, and lag never fell", age_seconds=300.0, rate_in=30.0, rate_out=24.0,
        catch_up_seconds=700.0, horizon_seconds=7200.0, member="faust-0.15-one-of-three", host="/10.0.0.7",
    )  # fmt: skip
    served.publish(
        group_of(OURS, 3, [behind, partition(1, 2, lost=3, age_seconds=0.4, member="two", host="/10.0.0.8")])
    )
    with Visit(browser, served.address) as visit:
        page = visit.go("lag")
        expect(page.locator(f".groups tr[data-key={OURS}] [data-figure=members]")).to_have_text("3")
        assert row_of(page, OURS)[1:7] == ["WARN", "4,002", "5 min", "31/s", "25/s", "12 min"]
        rows = page.locator("tr[data-partition]")
        figures = ("lag", "age", "in", "out", "end", "kept", "reader")
        first = {name: rows.nth(0).locator(f"[data-figure={name}]").inner_text() for name in figures}
        assert first == {
            "lag": "4,000", "age": "5 min", "in": "30/s", "out": "24/s", "end": "12 min", "kept": "2 h",
            "reader": "one-of-three",
        }  # fmt: skip
        expect(rows.nth(1).locator("[data-figure=lag]")).to_have_text("2 3 lost")
        page = visit.go()
        tiles = tiles_of(page)
        assert (tiles["Waiting"], tiles["Oldest waiting"]) == ("4,002", "5 min")
        expect(page.locator(".tiles > div").first).to_contain_text("3 workers")
        expect(page.locator(".tiles > div").nth(1)).to_contain_text("caught up in 12 min")
        assert visit.complaints == []


def test_nobody_reading_is_said_beside_the_verdict_and_not_over_it(browser: Browser, served: Published) -> None:
    """A few messages that are three seconds old alarm nobody; that nothing goes out is no keeping up either."""
    never = {"rate_out": 0.0, "catch_up_seconds": float("inf")}
    served.publish(
        group_of("left", 0, [partition(0, 20, age_seconds=3.0, **never)]),
        group_of("busy", 1, [partition(0, 20, age_seconds=3.0, catch_up_seconds=float("inf"), member="m", host="h")]),
        group_of("gone", 0, [partition(0, 900, "STOP", "no member of the group reads it", age_seconds=600.0, **never)]),
    )
    with Visit(browser, served.address) as visit:
        page = visit.go("lag")
        expect(page.locator(".groups tbody tr")).to_have_count(3)
        assert (row_of(page, "left")[1], row_of(page, "left")[6]) == ("OK\nnobody reads", "–")
        assert (row_of(page, "busy")[1], row_of(page, "busy")[6]) == ("OK", "keeping up")
        assert (row_of(page, "gone")[1], row_of(page, "gone")[6]) == ("STOP\nnobody reads", "never")
        tones = page.locator(".groups .tag").evaluate_all("(tags) => tags.map((one) => one.dataset.tone)")
        assert sorted(tones) == ["bad", "good", "good"]


def test_a_topic_is_called_what_it_is_called(browser: Browser, served: Published) -> None:
    served.publish(group_of("reports", 1, [partition(0, 500, "STALL", "its offset stands still", age_seconds=90.0)]))
    with Visit(browser, served.address) as visit:
        page = visit.go("lag")
        told = page.locator("section[aria-labelledby=partitions-title] .section-note")
        expect(told).to_have_text("scenes[0]: its offset stands still.")


def test_where_no_worker_was_ever_nothing_is_said_to_be_caught_up(browser: Browser, served: Published) -> None:
    served.publish(group_of("somebody else", 1, [partition(0, 0)]))
    for width in WIDTHS:
        with Visit(browser, served.address, width=width) as visit:
            page = visit.go()
            expect(page.locator(".tiles")).to_contain_text("no worker has been here yet")
            expect(page.locator("main")).not_to_contain_text("nothing to catch up")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lag_is_whole_legible_and_fits(
    browser: Browser, served: Published, scheme: Literal["light", "dark"], width: int
) -> None:
    served.publish(
        group_of(OURS, 1, [partition(0, 4000, "WARN", "it commits", age_seconds=300.0), partition(1, None, "UNKNOWN")]),
        group_of("reports", 0, [partition(0, 900, "STOP", "no member of the group reads it", age_seconds=600.0)]),
    )
    with Visit(browser, served.address, scheme=scheme, width=width) as visit:
        page = visit.go("lag")
        expect(page.locator("tr[data-partition]")).to_have_count(2)
        is_whole_and_legible(page, width)
        # Its figures are on the screen, and not somewhere to the right of it.
        for figure in page.locator("[data-figure=end], [data-figure=lag], [data-figure=age]").all():
            box = figure.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= width
        assert visit.complaints == []

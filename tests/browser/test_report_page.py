"""The report in a real browser: nothing from the network, nothing of a log alive, light and dark, wide and narrow."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import fake_runs
import pytest
from chromium import WORST_CONTRAST
from playwright.sync_api import Browser, Page

from streams.replay.report import write_report


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    hostile = fake_runs.HOSTILE
    decisions = fake_runs.decisions_of(700)
    injured = [
        one.model_copy(
            update={
                "user_id": f"{hostile}{one.user_id}",
                "dialogue_id": hostile,
                "task": hostile,
                "rule": f"{one.rule}{hostile}",
                "reason": hostile,
                "cue": hostile,
                "chain": tuple(code.model_copy(update={"code": f"{code.code}{hostile}"}) for code in one.chain),
            }
        )
        for one in decisions
    ]
    runs = {
        "full": fake_runs.write_run(folder / "full", decisions, dead=fake_runs.some_dead()),
        "silent": fake_runs.write_run(folder / "silent", decisions, texts=False, mode="strict"),
        "empty": fake_runs.write_run(folder / "empty", []),
        "interrupted": fake_runs.write_run(folder / "interrupted", decisions[:7], interrupted=True),
        "hostile": fake_runs.write_run(folder / "hostile", injured, words=hostile, dead=fake_runs.some_dead()),
    }
    return {name: write_report(run) for name, run in runs.items()}


class Visit:
    """A page, opened and drawn, with everything it asked for and complained of."""

    def __init__(
        self, browser: Browser, report: Path, *, scheme: Literal["light", "dark"] = "light", width: int = 1400
    ) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(report.as_uri())
        self.page.wait_for_selector("html[data-charts]")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [
        *(
            (name, scheme, width)
            for name in ("full", "hostile")
            for scheme in ("light", "dark")
            for width in (1400, 380)
        ),
        *((name, "light", 1400) for name in ("silent", "empty", "interrupted")),
        *((name, "dark", 380) for name in ("silent", "empty", "interrupted")),
    ],
)
def test_page_is_whole_quiet_and_fits(
    browser: Browser, reports: dict[str, Path], name: str, scheme: Literal["light", "dark"], width: int
) -> None:
    with Visit(browser, reports[name], scheme=scheme, width=width) as visit:
        assert visit.requests == [reports[name].as_uri()]
        assert visit.complaints == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") == width
        undrawn = (
            "[...document.querySelectorAll('[data-chart]')].filter((plot) => !plot.querySelector('.main-svg')).length"
        )
        assert visit.page.evaluate(undrawn) == 0
        assert visit.page.locator("[data-chart]").count() == (
            0 if name == "empty" else visit.page.locator("figure").count()
        )
        ratio, where = visit.page.evaluate(WORST_CONTRAST)
        assert ratio >= 4.5, where


def test_hostile_scenes_stay_text(browser: Browser, reports: dict[str, Path]) -> None:
    with Visit(browser, reports["hostile"]) as visit:
        assert visit.page.title() == "hostile · scenestream"
        assert visit.page.locator("img").count() == 0
        assert visit.page.locator("script").count() == 3
        assert visit.page.locator(".talk p").first.text_content() == fake_runs.HOSTILE
        plot = visit.page.locator("#chart-ledger-drafts")
        box = plot.bounding_box()
        assert box is not None
        plot.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
        visit.page.wait_for_selector("#chart-ledger-drafts .hoverlayer text")
        assert "</script>" in (plot.locator(".hoverlayer").text_content() or "")
        assert visit.page.title() == "hostile · scenestream"
        assert visit.complaints == []


def test_a_script_that_is_not_ours_is_refused(browser: Browser, reports: dict[str, Path]) -> None:
    with Visit(browser, reports["full"]) as visit:
        visit.page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), { text: 'document.title = 1' }))"
        )
        assert visit.page.title() == "full · scenestream"
        assert any("Content Security Policy" in complaint for complaint in visit.complaints)


def test_charts_follow_light_and_dark(browser: Browser, reports: dict[str, Path]) -> None:
    tick = "getComputedStyle(document.querySelector('#chart-verdicts .xtick text')).fill"
    with Visit(browser, reports["full"], scheme="light") as visit:
        light = visit.page.evaluate(tick)
        visit.page.emulate_media(color_scheme="dark")
        visit.page.wait_for_selector("html[data-charts=dark]")
        assert visit.page.evaluate(tick) != light
        visit.page.emulate_media(color_scheme="light")
        visit.page.wait_for_selector("html[data-charts=light]")
        assert visit.page.evaluate(tick) == light


def test_charts_follow_the_width(browser: Browser, reports: dict[str, Path]) -> None:
    with Visit(browser, reports["full"], width=1400) as visit:
        visit.page.set_viewport_size({"width": 380, "height": 900})
        width = "document.querySelector('#chart-verdicts .main-svg').clientWidth"
        deadline = time.monotonic() + 10
        while visit.page.evaluate(width) >= 380 and time.monotonic() < deadline:
            visit.page.wait_for_timeout(50)
        assert visit.page.evaluate(width) < 380
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 380


@pytest.mark.parametrize("name", ["full", "empty"])
def test_page_can_be_read_aloud(browser: Browser, reports: dict[str, Path], name: str) -> None:
    with Visit(browser, reports[name]) as visit:
        page = visit.page
        assert (
            page.locator("h1").count() == page.locator("main").count() == page.locator("nav[aria-label]").count() == 1
        )
        levels = [
            int(level)
            for level in page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => h.tagName[1])")
        ]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert page.evaluate(
            "[...document.querySelectorAll('[role=img]')].every((image) => image.getAttribute('aria-label'))"
        )
        assert page.evaluate(
            "[...document.querySelectorAll('figure')].every((figure) => figure.querySelectorAll('tbody tr').length > 0)"
        )
        assert page.evaluate("[...document.querySelectorAll('nav a')].every((a) => document.querySelector(a.hash))")
        ids = page.evaluate(
            "[...document.querySelectorAll('main [id]')].filter((e) => !e.closest('svg')).map((e) => e.id)"
        )
        assert len(ids) == len(set(ids))


def test_page_says_everything_without_scripts(browser: Browser, reports: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto(reports["full"].as_uri())
    assert page.locator("article.card").count() == 10
    numbers = page.locator("#time details.numbers").first
    numbers.locator("summary").click()
    assert numbers.locator("tbody tr").count() > 10
    assert numbers.locator("tbody tr").first.is_visible()
    context.close()

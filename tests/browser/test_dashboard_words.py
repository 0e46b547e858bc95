"""Who may see words and ids, and that they go from the screen with whoever might: over three runs, without a broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from dashboards import Dashboard, Visit
from figures import lines_of
from playwright.sync_api import Browser, Page, expect


@pytest.fixture
def someone(folders: dict[str, Path]) -> tuple[str, str]:
    """A dialogue, and the draft of its last scene."""
    last = [one for one in lines_of(folders["plain"]) if one["final"]][-1]
    texts = {one["scene_id"]: one["draft"] for one in lines_of(folders["plain"], "texts.jsonl")}
    return last["dialogue_id"], texts[last["scene_id"]]


def show_words(visit: Visit) -> None:
    visit.sign_in()
    visit.page.get_by_role("switch", name="Words and ids masked").click()
    expect(visit.page.get_by_role("switch", name="Words and ids shown")).to_be_visible()


def mask_words(page: Page) -> None:
    page.get_by_role("switch", name="Words and ids shown").click()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_dialogue_goes_with_whoever_might_read_it(
    browser: Browser, shown: Dashboard, someone: tuple[str, str]
) -> None:
    dialogue, draft = someone
    with Visit(browser, shown.address) as visit:
        page = visit.go("dialogue")
        show_words(visit)
        expect(page.locator("section[aria-labelledby=latest-title]")).to_contain_text(dialogue)
        page.evaluate(f"location.hash = '#/dialogue/dialogue/{dialogue}'")
        main = page.locator("main")
        expect(main).to_contain_text(draft)
        expect(main).to_contain_text("Words and ids are shown as they are.")
        mask_words(page)
        expect(main).to_contain_text("Words and ids are masked.")
        expect(main).not_to_contain_text(draft)
        page.get_by_role("switch", name="Words and ids masked").click()
        expect(main).to_contain_text(draft)
        sign_out(page)
        expect(page.locator("h1")).to_have_text("Dialogue")
        expect(main).to_contain_text("dialogue·")
        for said in (dialogue, draft):
            assert said not in page.locator("body").inner_text()
            assert said not in page.url
        assert visit.complaints == []


def test_what_a_comparison_names_goes_with_whoever_might_read_it(browser: Browser, shown: Dashboard) -> None:
    with Visit(browser, shown.address) as visit:
        page = visit.go("replays")
        show_words(visit)
        page.locator("select[name=run]").select_option("other")
        page.locator("select[name=baseline]").select_option("plain")
        page.get_by_role("button", name="Compare").click()
        examples = page.locator("section[aria-labelledby=changes-title] td").last
        expect(examples).to_be_visible()
        expect(examples).not_to_contain_text("scene·")
        named = examples.inner_text().split()
        sign_out(page)
        expect(examples).to_contain_text("scene·")
        assert not [one for one in named if one in page.locator("main").inner_text()]


def test_what_dead_letters_hold_goes_with_whoever_might_read_it(browser: Browser, shown: Dashboard) -> None:
    with Visit(browser, shown.address) as visit:
        page = visit.go("dead")
        main = page.locator("main")
        expect(main).to_contain_text("Words and ids are masked.")
        show_words(visit)
        expect(main).to_contain_text("Words and ids are shown as they are.")
        bodies = page.locator("article[data-reason=broken_json] pre")
        page.locator("article[data-reason=broken_json] summary").first.click()
        expect(bodies.first).to_have_text("{")
        sign_out(page)
        expect(main).to_contain_text("Words and ids are masked.")


def test_letters_with_words_are_those_of_the_run_that_is_shown(
    browser: Browser, shown: Dashboard, folders: dict[str, Path]
) -> None:
    """Both runs have as many letters."""
    with Visit(browser, shown.address) as visit:
        page = visit.go("dead")
        show_words(visit)
        expect(page.locator("main")).to_contain_text("Words and ids are shown as they are.")
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url) if "/api/letters" in one.url else None)
        page.evaluate("location.hash = '#/replays'")
        page.get_by_role("button", name="hostile").click()
        page.evaluate("location.hash = '#/dead'")
        expect(page.locator("main")).to_contain_text("Words and ids are shown as they are.")
        assert any("run=hostile" in one for one in asked), asked
    assert len(lines_of(folders["plain"], "dead.jsonl")) == len(lines_of(folders["hostile"], "dead.jsonl"))


def test_a_run_for_this_machine_alone_shows_its_ids_and_says_so(
    browser: Browser, folders: dict[str, Path], tmp_path: Path, someone: tuple[str, str]
) -> None:
    """Without a token nobody can sign in, and whoever reaches it can read the directory."""
    dialogue, draft = someone
    with (
        Dashboard(tmp_path, "--run", str(folders["plain"]), token=None) as dashboard,
        Visit(browser, dashboard.address) as visit,
    ):
        page = visit.go("dialogue")
        expect(page.locator("#sign")).to_be_hidden()
        page.locator("#find-dialogue").fill(dialogue)
        page.keyboard.press("Enter")
        main = page.locator("main")
        expect(main).to_contain_text("Words are masked; ids are those of the run.")
        expect(main).to_contain_text(dialogue)
        assert draft not in main.inner_text()
        visit.go("dead")
        expect(main).to_contain_text("Words are masked; ids are those of the run.")


def test_charts_follow_the_window(browser: Browser, shown: Dashboard) -> None:
    with Visit(browser, shown.address) as visit:
        page = visit.go("verdicts")
        expect(page.locator("[data-chart][data-drawn]")).to_have_count(2)
        # Whatever is published meanwhile, they stay what they are.
        page.evaluate("window.dispatchEvent(new Event('redraw'))")
        page.wait_for_timeout(300)
        for width in (700, 1100):
            page.set_viewport_size({"width": width, "height": 900})
            drawn = "[...document.querySelectorAll('[data-chart]')].map((one) => [one.clientWidth, "
            drawn += "one.querySelector('.main-svg').clientWidth])"
            for _ in range(100):
                if all(place == picture for place, picture in page.evaluate(drawn)):
                    break
                page.wait_for_timeout(100)
            assert all(place == picture for place, picture in page.evaluate(drawn)), width
        assert visit.complaints == []

"""The dashboard's page without a broker: runs, light and dark, wide and narrow, by keyboard and read aloud."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from dashboards import Dashboard, Visit
from figures import lines_of, tiles_of
from looked_at import is_whole_and_legible
from playwright.sync_api import Browser, expect

WAYS = {
    "ready": "scenes.ready",
    "withheld": "scenes.withheld",
    "reasoning": "scenes.reasoning",
    "regenerate": "scenes.regenerate",
    "analogue": "scenes.analogue",
}
VIEWS = ("", "verdicts", "dead", "dialogue", "replays")


@pytest.mark.parametrize("width", [1400, 800, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_whole_quiet_legible_and_fits(
    browser: Browser, shown: Dashboard, scheme: Literal["light", "dark"], width: int
) -> None:
    with Visit(browser, shown.address, scheme=scheme, width=width) as visit:
        for view in VIEWS:
            page = visit.go(view)
            if view == "verdicts":
                expect(page.locator("[data-chart][data-drawn]")).to_have_count(2)
            is_whole_and_legible(page, width)
        assert visit.complaints == []
        strange = [one for one in visit.requests if not one.startswith((shown.address, "data:", "blob:"))]
        assert strange == []


def test_numbers_are_those_of_the_run(browser: Browser, shown: Dashboard, folders: dict[str, Path]) -> None:
    decisions = [json.loads(line) for line in (folders["plain"] / "decisions.jsonl").read_text().splitlines()]
    final = [one for one in decisions if one["final"]]
    ready = [one for one in final if one["verdict"] == "ready"]
    healed = [one for one in ready if one["healing"]]
    by_rule = Counter(one["rule"] for one in decisions)
    letters = lines_of(folders["plain"], "dead.jsonl")
    dead = Counter(one["reason"] for one in letters)
    with Visit(browser, shown.address) as visit:
        page = visit.go()
        expect(page.locator("h1")).to_have_text(
            f"{len(ready) / len(final):.1%} of {len(final)} scenes went on to be said"
        )
        legend = page.locator(".legend").first
        expect(legend.locator("strong")).to_have_text(
            [
                str(len(ready) - len(healed)),
                str(len(healed)),
                str(sum(one["verdict"] == "withheld" for one in final)),
                str(sum(one["verdict"] == "reasoning" for one in final)),
            ]
        )
        for outcome in ("regenerate", "analogue"):
            told = page.locator(f"[data-key='topic-scenes.{outcome}'] text.small")
            expect(told).to_have_text(str(sum(one["verdict"] == outcome for one in decisions)))
        page = visit.go("verdicts")
        rules = page.locator("section[aria-labelledby=rules-title] tbody tr")
        shown_rules = {row[0]: tuple(row[1:3]) for row in (text.split("\t") for text in rules.all_inner_texts())}
        assert shown_rules == {rule: (f"{count:,}", percent(count, len(decisions))) for rule, count in by_rule.items()}
        bridged = [one for one in decisions if one["origin"] == "bridge"]
        cells = page.locator("[data-route=bridge] td").all_inner_texts()
        assert cells[0] == str(len(bridged))
        said = sum(one["verdict"] == "ready" for one in bridged)
        assert cells[1].split() == [str(said), percent(said, len(bridged))]
        assert float(cells[6]) == pytest.approx(
            sum(one["healing"]["gain"] for one in bridged) / len(bridged), abs=0.006
        )
        before = {id(one): earlier for earlier, one in pairwise(decisions)}
        for route in ("regeneration", "bridge"):
            back = [one for one in decisions if one["origin"] == route]
            assert all(before[id(one)]["scene_id"] == one["scene_id"] for one in back)
            means = [
                statistics.fmean(before[id(one)]["resonance"] for one in back),
                statistics.fmean(1 - one["risk"] for one in back),
                statistics.fmean(one["healing"]["fidelity"] for one in back),
            ]
            cells = page.locator(f"[data-route={route}] td").all_inner_texts()
            assert [float(cells[place]) for place in (2, 3, 5)] == pytest.approx(means, abs=0.006), route
        strengths = Counter(one["healing"]["strength"] for one in bridged)
        assert cells[7:10] == [str(strengths[name]) for name in ("amplified", "partial", "full")]
        page = visit.go("dead")
        for reason, count in dead.items():
            card = page.locator(f"[data-reason={reason}]").first
            expect(card.locator("[data-figure=letters]")).to_contain_text(str(count))
            size = sum(len(one["raw"] or "") for one in letters if one["reason"] == reason)
            at = moment(folders["plain"] / "dead.jsonl")
            expect(card.locator(".facts")).to_contain_text(f"First {at}, last ")
            expect(card.locator(".facts")).to_contain_text(f"; {size} B in all; {count} held back")
        page = visit.go("replays")
        for name, folder in folders.items():
            row = page.locator(f"section[aria-labelledby=runs-title] tr[data-key={name}] td")
            ends = {one["scene_id"] for one in lines_of(folder) if one["final"]}
            summary = json.loads((folder / "summary.json").read_text())
            expect(row).to_have_text(
                [str(len(ends)), moment(folder / "summary.json"), summary["digest"][:12], "Report"]
            )


@pytest.mark.parametrize("width", [1400, 390])
def test_what_takes_each_way_is_the_same_on_the_map_and_on_a_phone(
    browser: Browser, shown: Dashboard, folders: dict[str, Path], width: int
) -> None:
    decisions, dead = lines_of(folders["plain"]), lines_of(folders["plain"], "dead.jsonl")
    ways = {topic: sum(one["verdict"] == name for one in decisions) for name, topic in WAYS.items()}
    back = {route: sum(one["origin"] == route for one in decisions) for route in ("regeneration", "bridge")}
    summary = json.loads((folders["plain"] / "summary.json").read_text())
    tuned = summary["stages"]["threshold"]["count"] - sum(one["reason"] == "unknown_scene" for one in dead)
    with Visit(browser, shown.address, width=width) as visit:
        page = visit.go()
        if width > 700:
            for topic, count in {**ways, "sensitivity": tuned}.items():
                told = page.locator(f"[data-key='topic-{topic}'] text.small").text_content() or ""
                assert told.split(" ")[0] == str(count), topic
            return
        cards = page.locator(".tree > li")
        told = {
            card.locator("h2").inner_text(): [way.split("\n")[-1] for way in card.locator("ul li").all_inner_texts()]
            for card in cards.all()
        }
        assert sorted(told["Resonance"]) == sorted(map(str, ways.values()))
        assert told["Threshold"] == [str(tuned)]
        assert told["Regeneration"] == [str(back["regeneration"])]
        assert told["Bridge"] == [str(back["bridge"])]


def moment(path: Path) -> str:
    """Return when a file was written, as the page writes moments."""
    return datetime.fromtimestamp(path.stat().st_mtime).strftime("%b %-d, %Y, %H:%M")  # noqa: DTZ006 - local, as there


def percent(part: int, whole: int) -> str:
    """As the page writes shares."""
    return f"{100 * part / whole:.{0 if part in {0, whole} else 1}f}%"


def test_silence_and_failures_are_those_of_the_run(
    browser: Browser, shown: Dashboard, folders: dict[str, Path]
) -> None:
    decisions, dead = lines_of(folders["plain"]), lines_of(folders["plain"], "dead.jsonl")
    final = [one for one in decisions if one["final"]]
    silent = sum(one["verdict"] == "withheld" for one in final)
    failed = Counter("threshold" if one["reason"] == "unknown_scene" else "resonance" for one in dead)
    done = {"resonance": len(decisions)} | {
        route: sum(one["origin"] == route for one in decisions) for route in ("regeneration", "bridge")
    }
    with Visit(browser, shown.address) as visit:
        page = visit.go()
        tiles = tiles_of(page)
        assert tiles["Silence"] == percent(silent, len(final))
        assert tiles["Scenes"] == str(len(final))
        assert tiles["Said"] == percent(sum(one["verdict"] == "ready" for one in final), len(final))
        assert tiles["Dead letters"] == str(len(dead))
        page.get_by_text("The numbers of each stage").click()
        for stage, count in done.items():
            cells = page.locator(f"tr[data-stage={stage}] td").all_inner_texts()
            share = percent(failed[stage], count + failed[stage])
            assert cells[3:6] == [str(count), str(failed[stage]), share], stage
        page = visit.go("verdicts")
        expect(page.locator("#silence-title")).to_have_text(f"Silence: {percent(silent, len(final))}")
        for row in page.locator("section[aria-labelledby=tasks-title] tbody tr").all_inner_texts():
            task, count, said, healed, share = row.split("\t")
            mine = [one for one in final if one["task"] == task]
            assert int(count) == len(mine)
            assert share == percent(sum(one["verdict"] == "withheld" for one in mine), len(mine))
            assert said == percent(sum(one["verdict"] == "ready" for one in mine), len(mine))
            assert int(healed) == sum(one["verdict"] == "ready" and bool(one["healing"]) for one in mine)


def healed_in(decisions: list[dict[str, Any]]) -> int:
    return sum(one["final"] and one["verdict"] == "ready" and bool(one["healing"]) for one in decisions)


def test_stretches_of_the_log_add_up_to_the_run(browser: Browser, shown: Dashboard, folders: dict[str, Path]) -> None:
    """Each stretch is the next so many final decisions, in the order of the log."""
    final = [one for one in lines_of(folders["plain"]) if one["final"]]
    with Visit(browser, shown.address) as visit:
        page = visit.go("verdicts")
        page.locator("section[aria-labelledby=time-title] summary").click()
        rows = page.locator("section[aria-labelledby=time-title] tbody tr")
        found = [list(map(int, row.split("\t"))) for row in rows.all_inner_texts()]
        assert [row[0] for row in found] == list(range(1, len(found) + 1))
        at = 0
        for _, drafted, healed, silent, reasoning, _dead in found:
            size = drafted + healed + silent + reasoning
            some, at = final[at : at + size], at + size
            assert healed_in(some) == healed
            kinds = Counter(one["verdict"] for one in some)
            assert [kinds["ready"] - healed, kinds["withheld"], kinds["reasoning"]] == [drafted, silent, reasoning]
        assert at == len(final)
        assert sum(row[5] for row in found) == len(lines_of(folders["plain"], "dead.jsonl"))


def test_a_comparison_is_what_both_files_say(browser: Browser, shown: Dashboard, folders: dict[str, Path]) -> None:
    ends = {
        name: {one["scene_id"]: one["verdict"] for one in lines_of(folders[name]) if one["final"]}
        for name in ("plain", "other")
    }
    both = ends["plain"].keys() & ends["other"].keys()
    moves = Counter((ends["plain"][scene], ends["other"][scene]) for scene in both)
    changed = sum(count for (before, after), count in moves.items() if before != after)
    rules = {name: Counter(one["rule"] for one in lines_of(folders[name])) for name in ends}
    assert 0 < changed <= 30
    with Visit(browser, shown.address) as visit:
        page = visit.go("replays")
        page.locator("select[name=run]").select_option("other")
        page.locator("select[name=baseline]").select_option("plain")
        page.get_by_role("button", name="Compare").click()
        told = page.locator("[data-key=comparison]")
        only = len(ends["plain"]) - len(both)
        expect(told.locator(".notice")).to_contain_text(
            f"{changed} of {len(both)} scenes ended with another verdict ({percent(changed, len(both))}); 0 more kept"
        )
        expect(told.locator(".notice")).to_contain_text(f"0 are in the run alone, {only} in the baseline alone")
        facts = dict(
            row.split("\t", 1)
            for row in told.locator("section[aria-labelledby=facts-title] tbody tr").all_inner_texts()
        )
        for name in ("ready", "withheld", "reasoning"):
            counts = [sum(verdict == name for verdict in ends[run].values()) for run in ("plain", "other")]
            assert facts[name.capitalize()].split("\t")[:2] == [str(one) for one in counts]
        assert facts["Scenes"].split("\t")[:2] == [str(len(ends[run])) for run in ("plain", "other")]
        for name, counts in (
            ("Healed", [healed_in(lines_of(folders[run])) for run in ("plain", "other")]),
            ("Dead", [len(lines_of(folders[run], "dead.jsonl")) for run in ("plain", "other")]),
        ):
            delta = counts[1] - counts[0]
            told_delta = "same" if delta == 0 else f"{'+' if delta > 0 else '−'}{abs(delta)}"
            assert facts[name].split("\t") == [*map(str, counts), told_delta]
        verdicts = ("ready", "withheld", "reasoning")
        table = [
            row.split("\t") for row in told.locator("section[aria-labelledby=moves-title] tbody tr").all_inner_texts()
        ]
        assert table == [[before, *(str(moves[before, after]) for after in verdicts)] for before in verdicts]
        by_rule = [
            row.split("\t") for row in told.locator("section[aria-labelledby=rule-title] tbody tr").all_inner_texts()
        ]
        assert {name: (int(a), int(b)) for name, a, b in by_rule} == {
            name: (rules["plain"][name], rules["other"][name]) for name in rules["plain"] | rules["other"]
        }
        # Scenes that changed are named by masks until ids may be seen.
        examples = told.locator("section[aria-labelledby=changes-title] td").last
        expect(examples).to_contain_text("scene·")
        visit.sign_in()
        page.get_by_role("switch", name="Words and ids masked").click()
        page.get_by_role("button", name="Compare").click()
        expect(examples).not_to_contain_text("scene·")
        for scene in (examples.text_content() or "").split():
            assert ends["plain"][scene] != ends["other"][scene]


def test_what_is_left_of_the_promise_is_what_the_rows_leave(
    browser: Browser, shown: Dashboard, folders: dict[str, Path]
) -> None:
    """By hand from the run's rows: alpha n + 3 + T / 100, less errors, less the corrected risk of the unlabelled."""
    left: dict[tuple[str, str], list[float]] = {}
    at_limit: Counter[tuple[str, str]] = Counter()
    for line in (folders["plain"] / "sensitivity.jsonl").read_text().splitlines():
        row = json.loads(line)
        for account, alpha in (("drafts", 0.1), ("healed", 0.4)):
            held = row[account]
            factor = min(2.0, max(0.5, (held["errors"] + 5) / (held["labelled_risk"] + 5)))
            bound = alpha * held["emitted"] + 3 + 0.01 * row["offered"]
            spent = held["errors"] + factor * held["expected"]
            left.setdefault((row["task"] or "", account), []).append(bound - spent)
            # One more of the least risk that an account takes, alpha itself, and the bound as it would stand then.
            at_limit[row["task"] or "", account] += spent + factor * alpha > bound + alpha
    assert len(left) == 6
    assert min(map(min, left.values())) < 0
    with Visit(browser, shown.address) as visit:
        page = visit.go("verdicts")
        rows = page.locator("section[aria-labelledby=ledgers-title] tbody tr")
        expect(rows).to_have_count(len(left))
        for (task, account), found in left.items():
            cells = page.locator(f"tr[data-task='{task}'][data-account={account}] td").all_inner_texts()
            assert cells[1:3] == [str(len(found)), str(at_limit[task, account])]
            tenth = sorted(found)[math.ceil(len(found) / 10) - 1]
            assert float(cells[4].replace("−", "-")) == pytest.approx(tenth, abs=0.006)
            assert float(cells[3].replace("−", "-")) == pytest.approx(min(found), abs=0.006)
            assert float(cells[5].replace("−", "-")) == pytest.approx(statistics.median_low(found), abs=0.006)
        worst = min(map(min, left.values()))
        page = visit.go()
        tiles = tiles_of(page)
        assert tiles["Tightest budget"] == f"{-worst:.2f} over"
        # What is broken is not under a green lamp.
        expect(page.locator(".headline")).to_have_attribute("data-tone", "warning")
        expect(page.locator("[data-trouble=promise]")).to_contain_text(f"{-worst:.2f} errors more than it allows")
        page = visit.go("verdicts")
        drafts = [row["drafts"] for row in lines_of(folders["plain"], "sensitivity.jsonl")]
        errors, labels = (sum(one[name] for one in drafts) for name in ("errors", "labelled"))
        told = page.locator("section[aria-labelledby=errors-title] .note")
        expect(told).to_contain_text(f"{errors} of {labels} labels were rejections ({percent(errors, labels)})")


def test_a_dialogue_shows_its_chain_at_each_step(browser: Browser, shown: Dashboard, folders: dict[str, Path]) -> None:
    decisions: list[dict[str, Any]] = [
        json.loads(line) for line in (folders["plain"] / "decisions.jsonl").read_text().splitlines()
    ]
    healed = next(one for one in decisions if one["healing"] and one["final"])
    mine = [one for one in decisions if one["dialogue_id"] == healed["dialogue_id"]]
    with Visit(browser, shown.address) as visit:
        page = visit.go("dialogue")
        # Who has not signed in reads no id and may name none; what is listed can be followed by its mask.
        listed = page.locator("section[aria-labelledby=latest-title] tbody a")
        assert [one for one in listed.all_inner_texts() if not one.startswith("dialogue·")] == []
        counts = page.locator("section[aria-labelledby=latest-title] td").all_inner_texts()
        by_dialogue = Counter(one["dialogue_id"] for one in decisions)
        assert sorted(counts) == sorted(str(count) for count in by_dialogue.values())
        assert page.locator("#find-dialogue").count() == 0
        listed.first.click()
        expect(page.locator(".turn h2").first).to_contain_text("scene·")
        assert not any(one["dialogue_id"] in page.locator("main").inner_text() for one in decisions)
        visit.sign_in()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.keyboard.press("/")
        expect(page.locator("#find-dialogue")).to_be_focused()
        page.keyboard.type(healed["dialogue_id"])
        page.keyboard.press("Enter")
        expect(page.locator(".step[data-kind=decision]")).to_have_count(len(mine))
        assert "characters>" in page.locator("main").inner_text()
        page.get_by_role("switch", name="Words and ids masked").click()
        turn = page.locator(f"[data-key='turn-{healed['scene_id']}']")
        expect(turn).to_be_visible()
        codes = turn.locator(".step").last.locator(".chain li:not(.gone) bdi").all_inner_texts()
        assert codes == [code["code"] for code in healed["chain"]]
        weights = turn.locator(".step").last.locator(".chain li:not(.gone) .quiet").all_inner_texts()
        assert [float(one) for one in weights] == pytest.approx([one["weight"] for one in healed["chain"]], abs=0.006)
        turn.locator(".step").last.get_by_text("Parts").click()
        pairs = turn.locator(".step").last.locator("dl").all_inner_texts()[0].split("\n")
        parts = dict(zip(pairs[::2], map(float, pairs[1::2]), strict=True))
        assert parts == pytest.approx({k: v for k, v in healed["parts"].items() if v is not None}, abs=0.006)
        for scene_id in {one["scene_id"] for one in mine}:
            told = page.locator(f"[data-key='turn-{scene_id}'] .step[data-kind=decision]").all_inner_texts()
            for text, one in zip(told, [one for one in mine if one["scene_id"] == scene_id], strict=True):
                figures_of_a_step_are_those_of_its_decision(text, one)


def figures_of_a_step_are_those_of_its_decision(text: str, decision: dict[str, Any]) -> None:
    """The risk, and of the ledger by hand: alpha n + 3 + T / 100."""
    risk = re.search(r"; risk ([\d.]+|–)", text)
    assert risk
    assert risk[1] == ("–" if decision["risk"] is None else f"{decision['risk']:.2f}")
    held = decision["ledger"]
    told = re.search(r"Ledger, (\w+): (\d+) errors? and ([\d.]+) expected, of at most ([\d.]+)", text)
    if held is None:
        assert told is None
        return
    assert told
    assert told[1] == held["account"]
    assert int(told[2]) == held["E"]
    assert float(told[3]) == pytest.approx(held["expected"], abs=0.006)
    alpha = {"drafts": 0.1, "healed": 0.4}[held["account"]]
    assert float(told[4]) == pytest.approx(alpha * held["n"] + 3 + held["T"] / 100, abs=0.006)


def test_keys_reach_every_view(browser: Browser, shown: Dashboard) -> None:
    with Visit(browser, shown.address) as visit:
        page = visit.go()
        for key, title in (("2", "Verdicts"), ("5", "Replays"), ("3", "Dead letters")):
            page.keyboard.press(key)
            expect(page.locator("h1")).to_have_text(title)
            expect(page.locator("nav [aria-current=page]")).to_contain_text(title)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
        page.keyboard.press("t")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        page.keyboard.press("t")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark == "rgb(20, 23, 26)"
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_hostile_words_of_a_run_stay_words(browser: Browser, shown: Dashboard) -> None:
    with Visit(browser, shown.address) as visit:
        page = visit.go("replays")
        page.get_by_role("button", name="hostile").click()
        for view in VIEWS:
            page.evaluate(f"location.hash = '#/{view}'")
            page.wait_for_timeout(150)
            assert page.locator("img, main script, iframe").count() == 0
            assert "owned" not in page.title()
        page.evaluate("location.hash = '#/verdicts'")
        expect(page.locator("main")).to_contain_text("document.title='owned'")
        assert visit.complaints == []


def test_a_percent_sign_in_the_address_stands_for_itself(browser: Browser, shown: Dashboard) -> None:
    with Visit(browser, shown.address) as visit:
        page = visit.go("verdicts/100%")
        expect(page.locator("h1")).to_have_text("Verdicts")
        assert visit.complaints == []


def test_runs_are_held_against_each_other_and_reports_open(browser: Browser, shown: Dashboard) -> None:
    with Visit(browser, shown.address) as visit:
        page = visit.go("replays")
        page.locator("select[name=baseline]").select_option("plain")
        page.get_by_role("button", name="Compare").click()
        expect(page.locator("[data-key=comparison]")).to_contain_text("400")
        # It quotes what was said.
        visit.sign_in()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        with page.expect_navigation():
            page.get_by_role("link", name="Report").first.click()
        expect(page.locator("h1")).to_contain_text("went on to be said")


def test_motion_is_off_for_those_who_want_none(browser: Browser, shown: Dashboard) -> None:
    with Visit(browser, shown.address) as visit:
        visit.page.emulate_media(reduced_motion="reduce")
        page = visit.go()
        page.locator(".flow").first.wait_for(state="attached")
        names = "[...document.querySelectorAll('.flow')].map((one) => getComputedStyle(one).animationName)"
        assert set(page.evaluate(names)) == {"none"}

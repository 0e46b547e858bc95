from __future__ import annotations

import json
import re
import tracemalloc
from collections import Counter
from pathlib import Path

import fake_runs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.decision import Decision
from schemas.names import Verdict
from schemas.scene import Code, Swap
from streams.replay.report import write_report
from streams.replay.report.cards import pair_codes
from streams.replay.report.data import RunData, aggregate, outcome_of
from streams.replay.report.files import read_summary
from streams.replay.report.healings import SHOWN, Candidates, find_texts
from streams.replay.report.ledgers import LedgerPoint, Tightest
from streams.replay.report.page import json_for_script
from streams.replay.report.sketches import Frequent, Histogram, Timeline
from streams.replay.report.words import FILTERS, ledger_words, notices, rules


@pytest.fixture(scope="module")
def decisions() -> list[Decision]:
    return fake_runs.decisions_of(900)


@pytest.fixture(scope="module")
def data(decisions: list[Decision]) -> RunData:
    return aggregate([decision.model_dump_json(by_alias=True) for decision in decisions], strict=False)


def page_of(run: Path) -> str:
    html = write_report(run).read_text("utf-8")
    return re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)


def test_counts_are_those_of_the_decisions(decisions: list[Decision], data: RunData) -> None:
    final = [decision for decision in decisions if decision.final]
    assert data.scenes == len(final) == 900
    assert data.decisions == len(decisions)
    assert data.outcomes == Counter(outcome_of(decision) for decision in final)
    assert data.flow == Counter((decision.origin, decision.verdict) for decision in decisions)
    assert sum(cell.outcomes.total() for cell in data.timeline.cells) == 900
    assert not data.in_flight
    bridged = [
        decision for decision in decisions if decision.healing is not None and decision.healing.route == "bridge"
    ]
    stats = [data.healings[key] for key in data.healings if key[0] == "bridge"]
    assert sum(each.verdicts.total() for each in stats) == len(bridged)
    assert sum(each.resonance_before.total for each in stats) == len(bridged)


def test_withheld_scenes_are_counted_by_rule(decisions: list[Decision], data: RunData) -> None:
    groups = dict(rules(data))
    for verdict in (Verdict.WITHHELD, Verdict.REASONING):
        expected = Counter(decision.rule for decision in decisions if decision.verdict is verdict)
        assert {row.rule: row.count for row in groups[verdict]} == expected
    assert "ledger.drafts" in {row.rule for row in groups[Verdict.WITHHELD]}


def test_the_tightest_users_are_those_of_all_decisions(decisions: list[Decision], data: RunData) -> None:
    highest: dict[str, float] = {}
    for decision in decisions:
        view = decision.ledger
        if view.account == "drafts":
            share = (view.errors + view.expected) / view.bound
            highest[decision.key] = max(share, highest.get(decision.key, 0.0))
    ranked = sorted(highest, key=lambda key: -highest[key])[:5]
    assert [point.key for point in data.tightest["drafts"].ranked] == ranked


def test_strict_mode_holds_pending_scenes_as_errors(decisions: list[Decision]) -> None:
    lines = [decision.model_dump_json(by_alias=True) for decision in decisions]
    point = aggregate(lines, strict=True).tightest["drafts"].ranked[0]
    assert point.held == point.errors + point.pending


def test_the_healings_in_full_cover_every_kind_first_and_then_the_highest_gains(decisions: list[Decision]) -> None:
    healed = [decision for decision in decisions if decision.final and decision.healing is not None]
    candidates = Candidates()
    for decision in healed:
        candidates.add(decision)
    chosen = candidates.chosen()
    assert len(chosen) == SHOWN
    assert len({decision.scene_id for decision in chosen}) == SHOWN
    assert {decision.verdict for decision in chosen} == {decision.verdict for decision in healed}
    assert {(one.healing.route, one.healing.strength) for one in chosen if one.healing} == {
        ("regeneration", None),
        ("bridge", "amplified"),
        ("bridge", "partial"),
        ("bridge", "full"),
    }
    backwards = Candidates()
    for decision in reversed(healed):
        backwards.add(decision)
    assert backwards.chosen() == chosen


def test_after_one_of_every_kind_the_highest_gains_are_shown(decisions: list[Decision]) -> None:
    ready = next(one for one in decisions if one.verdict is Verdict.READY and one.healing and one.healing.gain)
    withheld = next(one for one in decisions if one.verdict is Verdict.WITHHELD and one.healing)
    candidates = Candidates()
    for index in range(40):
        healing = ready.healing.model_copy(update={"gain": (index * 7 % 40) / 40}) if ready.healing else None
        chain = (Code(code=f"code-{index}"),)
        candidates.add(ready.model_copy(update={"scene_id": f"d:{index}", "healing": healing, "chain": chain}))
        candidates.add(withheld.model_copy(update={"scene_id": f"w:{index}", "chain": chain}))
    chosen = candidates.chosen()
    assert sum(one.verdict is Verdict.WITHHELD for one in chosen) == 1
    gains = [one.healing.gain for one in chosen if one.verdict is Verdict.READY and one.healing]
    assert gains == [(39 - place) / 40 for place in range(9)]


def test_two_healings_of_a_kind_with_the_same_chains_are_not_both_shown(decisions: list[Decision]) -> None:
    decision = next(one for one in decisions if one.final and one.healing is not None)
    candidates = Candidates()
    for index in range(5):
        candidates.add(decision.model_copy(update={"scene_id": f"d:{index}"}))
    assert [one.scene_id for one in candidates.chosen()] == ["d:0"]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, decisions: list[Decision]) -> None:
    run = fake_runs.write_run(tmp_path / "run", decisions)
    assert write_report(run) == run / "report.html"
    first = (run / "report.html").read_bytes()
    write_report(run)
    assert (run / "report.html").read_bytes() == first
    assert sorted(path.name for path in run.iterdir()) == [
        "dead.jsonl", "decisions.jsonl", "report.html", "summary.json", "texts.jsonl",
    ]  # fmt: skip


def test_a_page_needs_nothing_from_elsewhere(tmp_path: Path, decisions: list[Decision]) -> None:
    page = page_of(fake_runs.write_run(tmp_path / "run", decisions))
    assert not re.findall(r"(?:src|href)\s*=(?![\"'](?:#|data:,))", page)
    assert "default-src 'none'" in page
    assert "url(" not in page


def test_neither_memory_nor_page_grows_with_the_run(tmp_path: Path, decisions: list[Decision]) -> None:
    some = fake_runs.write_run(tmp_path / "some", decisions)
    many = fake_runs.write_run(tmp_path / "many", [], texts=False)
    with (many / "decisions.jsonl").open("w", encoding="utf-8") as file:
        for repeat in range(8):
            for decision in decisions:
                fresh = {"scene_id": f"{repeat}-{decision.scene_id}", "user_id": f"{repeat}-{decision.user_id}"}
                file.write(f"{decision.model_copy(update=fresh).model_dump_json(by_alias=True)}\n")
    sizes, peaks = [], []
    for run in (some, many):
        tracemalloc.start()
        sizes.append(write_report(run).stat().st_size)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sizes[1] < sizes[0] + 40_000
    assert peaks[1] < peaks[0] + 3_000_000


def test_hostile_text_never_becomes_markup(tmp_path: Path) -> None:
    hostile = fake_runs.HOSTILE
    decisions = [
        one.model_copy(
            update={
                "user_id": f"{hostile}{one.user_id}",
                "task": hostile,
                "cue": hostile,
                "reason": hostile,
                "rule": hostile,
            }
        )
        for one in fake_runs.decisions_of(60)
    ]
    run = fake_runs.write_run(tmp_path / "<b>run", decisions, words=hostile, dead=fake_runs.some_dead())
    html = write_report(run).read_text("utf-8")
    assert "<img" not in re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert html.count("</script>") == 3
    assert "&lt;img src=x" in html
    assert "49" not in re.findall(r"onerror[^<]{0,60}", html)[0]
    assert "<b>run" not in html


def test_json_in_a_script_cannot_end_it() -> None:
    value = {"a": "</script><!--<script>\u2028\u2029&"}
    text = json_for_script(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_a_run_without_texts_says_so(tmp_path: Path, decisions: list[Decision]) -> None:
    page = page_of(fake_runs.write_run(tmp_path / "run", decisions, texts=False))
    assert "The run kept no texts" in page
    assert "draft</span>" not in page


def test_an_empty_run_says_why_every_chart_is_empty(tmp_path: Path) -> None:
    page = page_of(fake_runs.write_run(tmp_path / "run", []))
    assert "No scene was decided" in page
    assert 'class="plot"' not in page
    assert page.count('class="empty"') >= 10


def test_an_interrupted_run_is_reported_as_such(tmp_path: Path, decisions: list[Decision]) -> None:
    run = fake_runs.write_run(tmp_path / "run", decisions[:50], interrupted=True)
    with (run / "decisions.jsonl").open("a", encoding="utf-8") as file:
        file.write(decisions[50].model_dump_json(by_alias=True)[:200])
    page = page_of(run)
    assert "The run was interrupted" in page
    assert "Left out: 1 line of decisions.jsonl" in page


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_missing_or_broken_summary_is_no_obstacle(
    tmp_path: Path, decisions: list[Decision], content: str | None
) -> None:
    run = fake_runs.write_run(tmp_path / "run", decisions[:80])
    (run / "summary.json").unlink()
    if content is not None:
        (run / "summary.json").write_text(content)
    page = page_of(run)
    assert "summary.json is missing or broken" in page
    assert 'id="chart-verdicts"' in page


def test_a_directory_with_nothing_in_it_gives_a_report(tmp_path: Path) -> None:
    assert "No scene was decided" in page_of(tmp_path)


def test_a_summary_that_disagrees_is_pointed_out(tmp_path: Path, decisions: list[Decision], data: RunData) -> None:
    run = fake_runs.write_run(tmp_path / "run", decisions)
    summary = json.loads((run / "summary.json").read_text())
    assert notices(read_summary(run / "summary.json"), data) == []
    (run / "summary.json").write_text(json.dumps({**summary, "scenes": 901}))
    assert "901" in notices(read_summary(run / "summary.json"), data)[0]


def test_what_cannot_be_encoded_is_replaced(tmp_path: Path, decisions: list[Decision]) -> None:
    run = fake_runs.write_run(tmp_path / "run", decisions[:200])
    lines = [
        json.dumps({"scene_id": one.scene_id, "context": [{"role": "user", "text": "\ud800"}, 7], "draft": "\udfff"})
        for one in decisions[:200]
    ]
    (run / "texts.jsonl").write_text("\n".join(lines))
    assert '<p dir="auto">?</p>' in page_of(run)


def test_a_report_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, decisions: list[Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fake_runs.write_run(tmp_path / "run", decisions[:20])
    (run / "report.html").write_text("half a report")

    def full(self: Path, _: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_controls_that_a_route_does_not_beat_are_marked(tmp_path: Path, decisions: list[Decision]) -> None:
    page = page_of(fake_runs.write_run(tmp_path / "run", decisions))
    assert "Held against controls" in page
    assert re.findall(r"<mark>(.*?)</mark>", page) == ["0.66"]
    assert "Drafts that were spoilt on purpose" in page


def test_feedback_and_logs_are_named(tmp_path: Path, decisions: list[Decision]) -> None:
    page = page_of(fake_runs.write_run(tmp_path / "run", decisions))
    assert "<bdi>evenings.jsonl</bdi>, <bdi>night_shift.jsonl.gz</bdi>" in page
    assert "388" in page


def test_dead_letters_are_shown_by_reason(tmp_path: Path) -> None:
    page = page_of(fake_runs.write_run(tmp_path / "run", [], dead=fake_runs.some_dead()))
    assert "Empty draft" in page
    assert "the line ends too early" in page
    assert "Nothing of the log could be admitted" in page


def test_texts_are_found_by_id_and_cut() -> None:
    decoy = json.dumps({"scene_id": "b", "context": [{"role": "user", "text": '{"scene_id": "a"}'}], "draft": "no"})
    wanted = json.dumps({"context": [{"role": "user", "text": "w" * 5000}] * 9, "scene_id": "a", "draft": None})
    escaped = json.dumps({"scene_id": 'q"\\é', "context": [], "draft": "yes"}, ensure_ascii=False)
    lines = [line.encode() for line in (decoy, "{", "[1]", wanted, escaped, decoy)]
    found = find_texts(lines, ["a", 'q"\\é', "missing"])
    assert set(found) == {"a", 'q"\\é'}
    assert found["a"].draft is None
    assert found["a"].omitted == 3
    assert max(len(text) for _, text in found["a"].context) < 1000
    assert found['q"\\é'].draft == "yes"


def test_codes_are_paired_by_swap_then_kept_then_what_is_left() -> None:
    before = tuple(Code(code=name) for name in ("entrance", "tremor", "rain", "gone"))
    after = tuple(Code(code=name) for name in ("step", "tension", "rain"))
    swaps = (Swap(old="tremor", new="tension", closeness=0.6), Swap(old="nobody", new="nothing", closeness=0.1))
    pairs = pair_codes(before, after, swaps)
    said = [(one.old and one.old.code, one.new and one.new.code, one.closeness, one.kept) for one in pairs]
    assert said == [
        ("tremor", "tension", 0.6, False),
        ("rain", "rain", None, True),
        ("entrance", "step", None, False),
        ("gone", None, None, False),
    ]


def test_a_bound_that_was_passed_is_said() -> None:
    tightest = Tightest()
    assert "No scene was held" in ledger_words(tightest, "expected")
    tightest.add(LedgerPoint("u", 0, 1, 1, 0, 0, held=1.0, bound=3.0))
    assert ledger_words(tightest, "expected") == "Within its bound at every one of 1 decision."
    tightest.add(LedgerPoint("u", 1, 2, 2, 4, 0, held=4.0, bound=3.2))
    assert "1 of 2 decisions, 125%" in ledger_words(tightest, "off")


def test_numbers_are_written_for_people() -> None:
    assert [FILTERS["milliseconds"](value) for value in (None, 0.0412, 9.414, 1234.5)] == [
        "–",
        "0.0412 ms",
        "9.41 ms",
        "1,234 ms",
    ]
    assert [FILTERS["duration"](value) for value in (4.21, 125, 7325)] == ["4.21 s", "2 min 05 s", "2 h 02 min"]
    assert [FILTERS["percent"](part, 8) for part in (0, 1, 8)] == ["0%", "12.5%", "100%"]
    assert FILTERS["percent"](0, 0) == "–"
    assert [FILTERS["counted"](value, "scene") for value in (1, 1200)] == ["1 scene", "1,200 scenes"]


def test_a_threshold_lies_between_two_bins() -> None:
    histogram = Histogram(-0.2, 1.0, 24)
    for value in (0.3, 0.2999, 0.35, -5.0, 5.0, None):
        histogram.add(value)
    filled = {
        round(centre, 3): count for centre, count in zip(histogram.centres, histogram.counts, strict=True) if count
    }
    assert filled == {-0.175: 1, 0.275: 1, 0.325: 1, 0.375: 1, 0.975: 1}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_within_a_bin_of_the_exact_one(values: list[float], share: float) -> None:
    histogram = Histogram(0.0, 1.0, 50)
    for value in values:
        histogram.add(value)
    exact = sorted(values)[max(0, min(len(values) - 1, -int(-share * len(values) // 1) - 1))]
    assert abs((histogram.quantile(share) or 0.0) - exact) <= histogram.width


@given(st.lists(st.integers(0, 3), max_size=400), st.integers(2, 9))
def test_a_timeline_keeps_every_count_in_few_cells(steps: list[int], most: int) -> None:
    timeline: Timeline[Counter[str]] = Timeline(Counter, lambda left, right: left + right, most=most)
    position = 0
    for step in steps:
        position += step
        timeline.at(position)["seen"] += 1
    assert len(timeline.cells) <= most
    assert sum(cell["seen"] for cell in timeline.cells) == len(steps)
    assert timeline.starts == [index * timeline.width for index in range(len(timeline.cells))]


def test_frequent_keys_survive_the_rare_ones() -> None:
    frequent: Frequent[int] = Frequent(most=20)
    for index in range(500):
        frequent.add(-1, 0.5)
        frequent.add(index, 0.1)
    assert frequent.top(1) == [(-1, 500, 0.5)]
    assert len(frequent.counts) <= 20
    assert frequent.dropped > 400

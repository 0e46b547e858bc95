"""Runs as the dashboard serves them: to whom, and what of damaged or half-gone ones."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import cast

import pytest
from aiohttp import ClientSession, CookieJar
from aiohttp.test_utils import TestServer
from fake_runs import decisions_of, some_dead, write_run
from pydantic import SecretStr

from streams.ops.dashboard import run_pages
from streams.ops.dashboard.assets import load_assets
from streams.ops.dashboard.beat import LiveBeat
from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.guard import Guard
from streams.ops.dashboard.run_pages import report_of
from streams.ops.dashboard.runs import ShownRuns
from streams.ops.dashboard.veil import Veil
from streams.ops.dashboard.web import Refused, make_app
from streams.ops.replays.comparison import Comparison
from streams.ops.replays.shelf import Shelf
from streams.ops.tail import Tail
from streams.replay.run_dir import TEXTS, RunDirError
from streams.settings import DashboardSettings, OpsSettings, Settings

TOKEN = "a token of sufficient length"  # noqa: S105 - a test's


def asked(folder: Path, paths: list[str], *, token: str | None, signed_in: bool) -> list[int]:
    async def run() -> list[int]:
        app = make_app(Guard(None if token is None else SecretStr(token), (), time.monotonic), load_assets())
        ShownRuns([folder], Veil(b"")).add_routes(app)
        damage(folder)
        async with TestServer(app) as server, ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
            origin = {"Origin": str(server.make_url("/").origin())}
            if signed_in:
                async with http.post(server.make_url("/api/session"), json={"token": token}, headers=origin) as told:
                    assert told.status == 200
            found = []
            for path in paths:
                async with http.get(server.make_url(path)) as answered:
                    found.append(answered.status)
            return found

    def damage(folder: Path) -> None:
        (folder / "report.html").write_text("<p>what was said</p>")
        (folder / "dead.jsonl").unlink()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("token", "texts", "signed_in", "status"),
    [(TOKEN, True, False, 401), (TOKEN, True, True, 200), (TOKEN, False, False, 200), (None, True, False, 200)],
)
def test_a_report_that_quotes_is_for_those_who_may_see_words(
    tmp_path: Path, token: str | None, texts: bool, signed_in: bool, status: int
) -> None:
    folder = tmp_path / "one"
    write_run(folder, decisions_of(5), dead=some_dead())
    (folder / "sensitivity.jsonl").touch()
    if not texts:
        (folder / TEXTS).unlink()
    paths = ["/runs/one/report.html", "/api/letters", "/runs/other/report.html"]
    assert asked(folder, paths, token=token, signed_in=signed_in) == [status, 404, 404]


def test_a_live_dashboard_quotes_to_nobody_else(tmp_path: Path) -> None:
    write_run(tmp_path, decisions_of(5))
    (tmp_path / "report.html").touch()
    with pytest.raises(Refused, match="sign in"):
        report_of(tmp_path, texts=False)


def test_a_run_that_is_half_gone_hides_no_other(tmp_path: Path) -> None:
    write_run(tmp_path / "whole", decisions_of(3))
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "strange" / "summary.json").mkdir(parents=True)
    assert [run.name for run in Shelf(OpsSettings(runs_folder=tmp_path)).runs()] == ["whole"]


def test_one_pulse_that_fails_ends_no_other() -> None:
    class Breaks:
        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self.loop, self.again, self.calls = loop, asyncio.Event(), 0

        def pulse(self, *_: object) -> object:
            self.calls += 1
            if self.calls == 2:
                self.loop.call_soon_threadsafe(self.again.set)
            raise ZeroDivisionError

    async def run() -> None:
        breaks = Breaks(asyncio.get_running_loop())
        settings = Settings(dashboard=DashboardSettings(every_seconds=0.5))
        following = asyncio.create_task(LiveBeat(Feed(), cast("Tail", breaks), settings, Veil(b"")).follow())
        async with asyncio.timeout(30):
            await breaks.again.wait()
        following.cancel()
        await asyncio.wait({following})

    asyncio.run(run())


def test_one_comparison_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "one", decisions_of(3))
    (tmp_path / "one" / "sensitivity.jsonl").touch()
    under_way: list[int] = []
    lock = threading.Lock()

    def slow(*_: Path, name: object) -> Comparison:
        assert name is not str
        assert lock.acquire(blocking=False)
        time.sleep(0.05)
        lock.release()
        under_way.append(1)
        raise RunDirError("told")

    monkeypatch.setattr(run_pages, "compare", slow)

    async def run() -> list[int]:
        app = make_app(Guard(None, (), time.monotonic), load_assets())
        ShownRuns([tmp_path / "one"], Veil(b"")).add_routes(app)
        async with TestServer(app) as server, ClientSession() as http:

            async def ask() -> int:
                async with http.get(server.make_url("/api/compare?run=one&baseline=one")) as answered:
                    return answered.status

            return await asyncio.gather(*(ask() for _ in range(4)))

    assert asyncio.run(run()) == [404] * 4
    assert len(under_way) == 4

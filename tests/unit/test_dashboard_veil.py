"""Ids are for those who signed in: nobody else reads one, or learns whose mask is whose."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import ClientSession, CookieJar
from aiohttp.test_utils import BaseTestServer, TestServer
from fake_runs import decisions_of, some_dead, write_run
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from schemas.dead import DeadLetter, DeadReason
from streams.kafka.letter_words import show_body
from streams.ops.dashboard import beat
from streams.ops.dashboard.assets import load_assets
from streams.ops.dashboard.beat import LiveBeat
from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.guard import Guard
from streams.ops.dashboard.runs import ShownRuns
from streams.ops.dashboard.veil import Veil
from streams.ops.dashboard.web import make_app
from streams.ops.follow.dialogue import ScanProgress
from streams.ops.tail import Tail
from streams.settings import Settings

TOKEN = "a token of sufficient length"  # noqa: S105 - a test's
SECRET_ID = "mirela@example.org"  # noqa: S105 - nobody's


def test_a_mask_is_the_same_everywhere_and_tells_nothing() -> None:
    veil = Veil(b"salt")
    masked = veil.name("user_id", SECRET_ID)
    assert masked == veil.name("key", SECRET_ID) == veil.listed("user", SECRET_ID)
    assert masked.startswith("user·")
    assert SECRET_ID not in masked
    assert Veil(b"other").name("user_id", SECRET_ID) != masked
    assert (veil.behind("user", masked), veil.behind("dialogue", masked)) == (SECRET_ID, None)
    assert Veil(b"salt").behind("user", masked) is None


def test_only_so_many_masks_are_known() -> None:
    veil = Veil(b"salt")
    masks = [veil.listed("dialogue", f"d{number}") for number in range(10_001)]
    assert veil.behind("dialogue", masks[0]) is None
    assert veil.behind("dialogue", masks[1]) == "d1"


values = st.recursive(
    st.just(SECRET_ID) | st.just(60_481_516_234_200),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["user_id", "dialogue_id", "scene_id", "key", "uid", "context", SECRET_ID, "60481516234200"]
            ),
            inner,
            min_size=1,
            max_size=2,
        )
    ),
    max_leaves=6,
)


@given(st.sampled_from(["user_id", "dialogue_id", "scene_id", "key", "uid", SECRET_ID]), values)
def test_no_id_is_left_in_a_letter_wherever_somebody_put_it(field: str, value: object) -> None:
    shown = show_body(json.dumps({field: value}).encode(), texts=False, name=Veil(b"salt").name)
    assert SECRET_ID not in shown
    assert "60481516234200" not in shown


def test_a_letter_that_is_no_json_cannot_be_guessed_by_its_digest() -> None:
    body = f"{{broken {SECRET_ID}".encode()
    assert show_body(body, texts=False, name=Veil(b"").name) == f"{len(body)} bytes that are not JSON"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "one", decisions_of(20), dead=some_dead())
    letter = DeadLetter(
        source="log.jsonl",
        line=1,
        reason=DeadReason.EMPTY_DRAFT,
        detail="`draft` is empty",
        raw=json.dumps({"user_id": SECRET_ID, "uid": SECRET_ID, "dialogue_id": SECRET_ID, "turn": 3}),
    )
    with (folder / "dead.jsonl").open("a") as dead:
        dead.write(f"{letter.model_dump_json()}\n")
    (folder / "sensitivity.jsonl").touch()
    return folder


def ids_of(folder: Path) -> set[str]:
    decisions = [json.loads(line) for line in (folder / "decisions.jsonl").read_text().splitlines()]
    return {SECRET_ID} | {
        one[name] for one in decisions for name in ("dialogue_id", "user_id", "scene_id") if one[name]
    }


async def _get(http: ClientSession, server: BaseTestServer, path: str) -> tuple[int, Any]:
    async with http.get(server.make_url(path)) as answered:
        return answered.status, await answered.json()


def test_without_signing_in_no_id_is_read_and_none_can_be_matched(run: Path) -> None:
    ids = ids_of(run)
    known = next(one["dialogue_id"] for one in map(json.loads, (run / "decisions.jsonl").read_text().splitlines()))

    async def visit() -> None:
        feed = Feed()
        shown = ShownRuns([run], Veil(b"salt"))
        shown.publish(feed)
        app = make_app(Guard(SecretStr(TOKEN), (), time.monotonic), load_assets())
        shown.add_routes(app)
        async with TestServer(app) as server, ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
            seen = [json.loads(feed.document(name) or b"{}") for name in ("shown", "replays")]
            masks = [one["id"] for one in seen[0]["runs"]["one"]["latest"]["dialogues"]]
            for path in ("/api/letters", "/api/latest", "/api/compare?run=one&baseline=one"):
                status, found = await _get(http, server, path)
                assert status == 200
                seen.append(found)
            status, followed = await _get(http, server, f"/api/dialogue?dialogue={masks[0]}")
            assert status == 200
            assert followed["steps"]
            status, of_user = await _get(http, server, f"/api/dialogue?user={followed['steps'][0]['user_id']}")
            assert (status, bool(of_user["steps"])) == (200, True)
            told = json.dumps([*seen, followed, of_user], ensure_ascii=False)
            assert [one for one in ids if f'"{one}"' in told or f'{one}\\"' in told] == []
            for path in (f"dialogue={known}", f"user={SECRET_ID}", "dialogue=dialogue·00000000"):
                status, refused = await _get(http, server, f"/api/dialogue?{path}")
                assert (status, "sign in" in refused["error"]) == (401, True)
            assert (await _get(http, server, "/api/latest?texts=1"))[0] == 401

            origin = {"Origin": str(server.make_url("/").origin())}
            async with http.post(server.make_url("/api/session"), json={"token": TOKEN}, headers=origin) as signed:
                assert signed.status == 200
            status, named = await _get(http, server, f"/api/dialogue?dialogue={known}")
            assert [step["dialogue_id"] for step in named["steps"]][:1] == masks[:1]
            status, named = await _get(http, server, f"/api/dialogue?dialogue={known}&texts=1")
            assert {step["dialogue_id"] for step in named["steps"]} == {known}
            assert (await _get(http, server, "/api/latest?texts=1"))[1]["dialogues"][0]["id"] == known

    asyncio.run(visit())


def test_runs_have_no_metrics_and_say_where_they_are(run: Path) -> None:
    async def visit() -> None:
        app = make_app(Guard(None, (), time.monotonic), load_assets())
        ShownRuns([run], Veil(b""), veiled=False).add_routes(app)
        async with TestServer(app) as server, ClientSession() as http:
            status, told = await _get(http, server, "/metrics")
            assert (status, "without --run" in told["error"]) == (404, True)
            assert (await _get(http, server, "/api/latest"))[1]["dialogues"][0]["id"] in ids_of(run)

    asyncio.run(visit())


class Searches:
    """Stands for the topics: a search goes on until it is let go."""

    def __init__(self) -> None:
        self.going = threading.Semaphore(0)

    def scan(self, *_: object, **__: object) -> Iterator[ScanProgress]:
        yield ScanProgress(share=0.5, records=1, found=0, done=False)
        self.going.acquire()
        yield ScanProgress(share=1.0, records=2, found=0, done=True)


def test_a_slow_viewer_keeps_nobody_from_searching(monkeypatch: pytest.MonkeyPatch) -> None:
    searches = Searches()
    monkeypatch.setattr(beat, "scan", searches.scan)
    veil = Veil(b"")
    path = f"/api/dialogue/scan?dialogue={veil.listed('dialogue', 'd')}"

    async def visit() -> None:
        app = make_app(Guard(None, (), time.monotonic), load_assets())
        LiveBeat(Feed(), cast("Tail", None), Settings(), veil).add_routes(app)
        async with TestServer(app) as server, ClientSession() as http:
            first = [await http.get(server.make_url(path)) for _ in range(3)]
            assert [one.status for one in first] == [200] * 3
            for one in first:
                assert await one.content.readline() == b"event: progress\n"
            status, refused = await _get(http, server, path)
            assert (status, "3 searches are under way" in refused["error"]) == (429, True)
            # Nobody reads these any further; once they have ended their places are free.
            searches.going.release(3)
            async with asyncio.timeout(20):
                while True:
                    async with http.get(server.make_url(path)) as again:
                        if again.status == 200:
                            searches.going.release()
                            assert b'"share":1.0' in await again.read()
                            break
                    await asyncio.sleep(0.01)
            for one in first:
                one.close()

    asyncio.run(visit())

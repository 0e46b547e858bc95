"""Replays' directories shown without any broker: the same documents, made once of what a run left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiohttp import web

from streams.ops.dashboard.beat import LATEST, wanted, wants_texts
from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.guard import is_loopback
from streams.ops.dashboard.headline import Headline
from streams.ops.dashboard.run_pages import Comparisons, report_of
from streams.ops.dashboard.veil import Veil
from streams.ops.dashboard.web import Refused, answer, answer_model, can_sign_in, client_of, session_of
from streams.ops.letters import graveyard_of_run
from streams.ops.pulse.pulse import Pulse
from streams.ops.replays.shelf import run_on_disk
from streams.ops.run_view import dialogue_of_run, pulse_of_run
from streams.replay.run_dir import RunDirError
from streams.replay.run_reader import read_decisions


class ShownRuns:
    """Runs by name, as the page shows them; raises RunDirError where a folder is none.

    With `veiled` ids are masked for those who have not asked for words.
    """

    def __init__(self, folders: Sequence[Path], veil: Veil, *, veiled: bool = True) -> None:
        self.folders = _named(folders)
        self._veil = veil if veiled else None
        self._comparisons = Comparisons(self._folder, self._veil)
        self._documents = {name: _documents(folder, veil.salt, self._veil) for name, folder in self.folders.items()}

    def publish(self, feed: Feed) -> None:
        """Publish all of them."""
        feed.publish("shown", {"runs": self._documents})
        runs = [run_on_disk(folder).model_copy(update={"name": name}) for name, folder in self.folders.items()]
        feed.publish("replays", {"jobs": [], "runs": [one.model_dump(mode="json") for one in runs], "logs": []})

    def add_routes(self, app: web.Application) -> None:
        """Add a dialogue of a run, the first of them, and the runs' reports."""
        app.router.add_get("/api/dialogue", self._dialogue)
        app.router.add_get("/api/latest", self._named)
        app.router.add_get("/metrics", _no_metrics)
        app.router.add_get("/api/letters", self._letters)
        app.router.add_get("/api/compare", self._comparisons.answer)
        app.router.add_get("/runs/{name}/report.html", self._report)

    async def _dialogue(self, request: web.Request) -> web.Response:
        folder = self._folder(request.query.get("run", next(iter(self.folders))))
        who, texts = wanted(request, self._veil), wants_texts(request)
        try:
            found = await asyncio.to_thread(dialogue_of_run, folder, **who, texts=texts)
        except RunDirError as error:
            raise Refused(404, str(error)) from error
        return answer_model(found if texts or self._veil is None else self._veil.over(found))

    async def _named(self, request: web.Request) -> web.Response:
        folder = self._folder(request.query.get("run", next(iter(self.folders))))
        veil = None if wants_texts(request) else self._veil
        try:
            return answer({"dialogues": await asyncio.to_thread(_first_dialogues, folder, veil)})
        except RunDirError as error:
            raise Refused(404, str(error)) from error

    async def _letters(self, request: web.Request) -> web.Response:
        folder = self._folder(request.query.get("run", next(iter(self.folders))))
        texts = wants_texts(request)
        try:
            name = None if texts or self._veil is None else self._veil.name
            return answer_model(await asyncio.to_thread(graveyard_of_run, folder, texts=texts, name=name))
        except RunDirError as error:
            raise Refused(404, str(error)) from error

    async def _report(self, request: web.Request) -> web.StreamResponse:
        # Without a token, whoever named the directory on this machine may read what lies in it.
        theirs = not can_sign_in(request) and is_loopback(client_of(request))
        return report_of(self._folder(request.match_info["name"]), texts=theirs or session_of(request) is not None)

    def _folder(self, name: str) -> Path:
        if name not in self.folders:
            raise Refused(404, "no run of that name is shown")
        return self.folders[name]


def _named(folders: Sequence[Path]) -> Mapping[str, Path]:
    named: dict[str, Path] = {}
    for folder in folders:
        name = folder.resolve().name or "run"
        seen = sum(known == name or known.startswith(f"{name} (") for known in named)
        named[f"{name} ({seen + 1})" if seen else name] = folder
    return named


async def _no_metrics(request: web.Request) -> web.Response:
    del request
    raise Refused(404, "finished runs have no lag to measure; /metrics is that of a live dashboard, without --run")


def _documents(folder: Path, salt: bytes, veil: Veil | None) -> Mapping[str, object]:
    pulse = pulse_of_run(folder, salt)
    return {
        "pulse": pulse.model_dump(mode="json"),
        "headline": run_headline(pulse).document(),
        "letters": graveyard_of_run(folder, name=None if veil is None else veil.name).model_dump(mode="json"),
        "latest": {"dialogues": _first_dialogues(folder, veil)},
    }


def run_headline(pulse: Pulse) -> Headline:
    """Return what a run came to, at a glance."""
    verdicts = pulse.verdicts
    if not verdicts.final:
        return Headline("unknown", "No scene of this run was decided", "Its log held none that could be read.")
    share = verdicts.ready / verdicts.final
    words = (
        f"{verdicts.ready - pulse.healed:,} as drafted, {pulse.healed:,} after healing. "
        f"{verdicts.withheld:,} met silence, {verdicts.reasoning:,} went back to reasoning."
    )
    return Headline("good", f"{share:.1%} of {verdicts.final:,} scenes went on to be said", words)


def _first_dialogues(folder: Path, veil: Veil | None) -> list[Mapping[str, object]]:
    found = Counter(decision.dialogue_id for decision in read_decisions(folder))
    return [
        {"id": name if veil is None else veil.listed("dialogue", name), "records": count, "at": None}
        for name, count in list(found.items())[:LATEST]
    ]

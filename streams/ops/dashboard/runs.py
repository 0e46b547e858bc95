"""Replays' directories shown without any broker: the same documents, made once of what a run left behind."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiohttp import web

from streams.ops.dashboard.beat import LATEST, wanted, wants_texts
from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.guard import is_loopback
from streams.ops.dashboard.headline import Headline
from streams.ops.dashboard.run_pages import Comparisons, report_of
from streams.ops.dashboard.web import Refused, answer_model, can_sign_in, session_of
from streams.ops.letters import graveyard_of_run
from streams.ops.pulse.pulse import Pulse
from streams.ops.replays.shelf import run_on_disk
from streams.ops.run_view import dialogue_of_run, pulse_of_run
from streams.replay.run_dir import RunDirError
from streams.replay.run_reader import read_decisions


class ShownRuns:
    """Runs by name, as the page shows them; raises RunDirError where a folder is none."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = _named(folders)
        self._comparisons = Comparisons(self._folder)
        salt = secrets.token_bytes(16)
        self._documents = {name: _documents(folder, salt) for name, folder in self.folders.items()}

    def publish(self, feed: Feed) -> None:
        """Publish all of them."""
        feed.publish("shown", {"runs": self._documents})
        runs = [run_on_disk(folder).model_copy(update={"name": name}) for name, folder in self.folders.items()]
        feed.publish("replays", {"jobs": [], "runs": [one.model_dump(mode="json") for one in runs], "logs": []})

    def add_routes(self, app: web.Application) -> None:
        """Add a dialogue of a run, and the runs' reports."""
        app.router.add_get("/api/dialogue", self._dialogue)
        app.router.add_get("/api/letters", self._letters)
        app.router.add_get("/api/compare", self._comparisons.answer)
        app.router.add_get("/runs/{name}/report.html", self._report)

    async def _dialogue(self, request: web.Request) -> web.Response:
        folder = self._folder(request.query.get("run", next(iter(self.folders))))
        who, texts = wanted(request), wants_texts(request)
        try:
            return answer_model(await asyncio.to_thread(dialogue_of_run, folder, **who, texts=texts))
        except RunDirError as error:
            raise Refused(404, str(error)) from error

    async def _letters(self, request: web.Request) -> web.Response:
        folder = self._folder(request.query.get("run", next(iter(self.folders))))
        texts = wants_texts(request)
        try:
            return answer_model(await asyncio.to_thread(graveyard_of_run, folder, texts=texts))
        except RunDirError as error:
            raise Refused(404, str(error)) from error

    async def _report(self, request: web.Request) -> web.StreamResponse:
        # Without a token, whoever named the directory on this machine may read what lies in it.
        theirs = not can_sign_in(request) and is_loopback(request.remote or "")
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


def _documents(folder: Path, salt: bytes) -> Mapping[str, object]:
    pulse = pulse_of_run(folder, salt)
    return {
        "pulse": pulse.model_dump(mode="json"),
        "headline": run_headline(pulse).document(),
        "letters": graveyard_of_run(folder).model_dump(mode="json"),
        "latest": {"dialogues": _first_dialogues(folder)},
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


def _first_dialogues(folder: Path) -> list[Mapping[str, object]]:
    found = Counter(decision.dialogue_id for decision in read_decisions(folder))
    return [{"id": name, "records": count, "at": None} for name, count in list(found.items())[:LATEST]]

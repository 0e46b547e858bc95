"""Reading a run's directory again: one scene of it with all that was decided, or the rows it ended with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from schemas.dead import DeadLetter
from schemas.decision import Decision
from schemas.scene import Utterance
from schemas.sensitivity import Sensitivity
from streams.replay.run_dir import DEAD, DECISIONS, ROWS, SUMMARY, TEXTS, RunDirError

_NEAR_IDS = 5
_IDS_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class SceneOfRun:
    """A scene of a run: its decisions in order of attempt, and its words where the run kept them."""

    decisions: tuple[Decision, ...]
    context: tuple[Utterance, ...]
    draft: str | None
    texts_kept: bool


def find_scene(folder: Path, scene_id: str) -> SceneOfRun:
    """Return a scene of the run in `folder`; raises RunDirError where run or scene are not there, or are damaged."""
    others: list[str] = []
    decisions: list[Decision] = []
    for line in _read(folder, DECISIONS):
        if line.get("scene_id") == scene_id:
            decisions.append(_decision(line, folder))
        elif not decisions and len(others) < _IDS_LOOKED_AT:
            others.append(str(line.get("scene_id")))
    if not decisions:
        raise RunDirError(f"{folder} has no scene {scene_id!r:.200}; {_near(scene_id, others)}")
    words = None
    if (folder / TEXTS).exists():
        words = next((line for line in _read(folder, TEXTS) if line.get("scene_id") == scene_id), None)
    decisions.sort(key=lambda decision: decision.attempt)
    if words is None:
        return SceneOfRun(tuple(decisions), (), None, texts_kept=False)
    context, draft = _words(words, folder)
    return SceneOfRun(tuple(decisions), context, draft, texts_kept=True)


def read_rows(folder: Path) -> Iterator[Sensitivity]:
    """Yield the sensitivity rows that the run in `folder` ended with; raises RunDirError where there are none."""
    for line in _read(folder, ROWS):
        try:
            yield Sensitivity.model_validate(line)
        except ValidationError as error:
            raise RunDirError(f"{folder / ROWS} holds what is no row; replay the log again") from error


def read_decisions(folder: Path) -> Iterator[Decision]:
    """Yield what was decided in the run in `folder`, in order; raises RunDirError where it is not there."""
    for line in _read(folder, DECISIONS):
        yield _decision(line, folder)


def read_dead(folder: Path) -> Iterator[DeadLetter]:
    """Yield the dead letters of the run in `folder`; raises RunDirError where they are not there or damaged."""
    for line in _read(folder, DEAD):
        try:
            yield DeadLetter.model_validate(line)
        except ValidationError as error:
            raise RunDirError(f"{folder / DEAD} holds what is no dead letter; replay the log again") from error


def read_words(folder: Path) -> Iterator[tuple[str, tuple[Utterance, ...], str | None]]:
    """Yield scene id, context and draft of the scenes of a run, none where it kept no words; raises RunDirError."""
    if not (folder / TEXTS).exists():
        return
    for line in _read(folder, TEXTS):
        context, draft = _words(line, folder)
        yield str(line.get("scene_id")), context, draft


def read_summary(folder: Path) -> Mapping[str, object]:
    """Return the summary of the run in `folder`; raises RunDirError where there is none."""
    path = folder / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunDirError(_missing(folder, SUMMARY, error)) from error
    except ValueError as error:
        raise RunDirError(f"{path} is damaged ({error}); replay the log again") from error
    if not isinstance(summary, dict):
        raise RunDirError(f"{path} is damaged (no object); replay the log again")
    return summary


def _read(folder: Path, name: str) -> Iterator[dict[str, object]]:
    path = folder / name
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    value = from_json(line)
                except ValueError as error:
                    raise RunDirError(f"{path}, line {number}, is damaged ({error}); replay the log again") from error
                if not isinstance(value, dict):
                    raise RunDirError(f"{path}, line {number}, is damaged (no object); replay the log again")
                yield value
    except OSError as error:
        raise RunDirError(_missing(folder, name, error)) from error


def _words(line: Mapping[str, object], folder: Path) -> tuple[tuple[Utterance, ...], str | None]:
    try:
        context = tuple(Utterance.model_validate(said) for said in line.get("context", ()))  # type: ignore[attr-defined]
    except (ValidationError, TypeError) as error:
        scene_id = str(line.get("scene_id"))
        raise RunDirError(f"{folder / TEXTS} is damaged at scene {scene_id!r:.200}; replay the log again") from error
    draft = line.get("draft")
    return context, draft if isinstance(draft, str) else None


def _missing(folder: Path, name: str, error: OSError) -> str:
    reason = f"it has no {name}" if folder.is_dir() else (error.strerror or str(error)).lower()
    return f"{folder} is no finished run ({reason}); name a directory that `scenestream replay --out DIR` wrote"


def _decision(line: Mapping[str, object], folder: Path) -> Decision:
    try:
        return Decision.model_validate(line)
    except ValidationError as error:
        what = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in what["loc"])
        raise RunDirError(
            f"{folder / DECISIONS} holds a decision of another version ({where}: {what['msg']}); replay the log again"
        ) from error


def _near(scene_id: str, others: list[str]) -> str:
    if not others:
        return "it has no scenes at all"
    known = list(dict.fromkeys(others))
    near = [other for other in known if scene_id in other][:_NEAR_IDS]
    near = near or get_close_matches(scene_id, known, _NEAR_IDS, 0.5)
    return f"near it are: {', '.join(near)}" if near else f"its first ones are: {', '.join(known[:_NEAR_IDS])}"

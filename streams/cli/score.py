"""`scenestream score`: how drafts resonate, one line of JSON for each; no gate, no healing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from schemas.dead import DeadReason
from schemas.scene import Scene
from streams.cli.batches import batched
from streams.cli.configured import load_settings
from streams.cli.said import turns_of
from streams.cli.wiring import open_scorer
from streams.replay.items import Item
from streams.replay.reader import MAX_LINE_BYTES, check_logs, read_lines
from streams.scoring.port import Scorer
from streams.stages.admit import Refusal, Terms, admit, read_json

File = Annotated[str, typer.Argument(metavar="FILE", help="JSONL, plain or gzip; - for stdin.", show_default=False)]
Memory = Annotated[Path | None, typer.Option("--memory", metavar="DIR", help="A memory base, see `memory build`.")]
_FIELDS = ("draft", "register", "task")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A line: the id to answer by, and the scene it asks about, or why it cannot be read."""

    where: str
    name: object
    scene: Scene | Refusal


def score(file: File, memory: Memory = None) -> None:
    """Score drafts: lines of {"id", "context": [...], "draft"} in, a line with id, resonance and parts out for each.

    Context entries are {"role", "text"} or plain texts, which alternate, the last one the user's. Lines that cannot be
    read are told on stderr, and the exit code is then 1. A "dialogue_id" keeps a scene from finding its own dialogue in
    memory.
    """
    settings = load_settings(memory=memory)
    check_logs([file])
    scorer = open_scorer(settings)
    asked = _read(file, scorer.terms(), settings.replay.context_turns)
    unread = 0
    for batch in batched(asked, settings.models.max_batch, settings.models.max_wait_ms):
        scenes = [one for one in batch if isinstance(one.scene, Scene)]
        answers = iter(_answers(scorer, scenes))
        for one in batch:
            if isinstance(one.scene, Refusal):
                unread += 1
                typer.echo(f"{one.where}: {one.scene.reason.value}: {one.scene.detail}", err=True)
            else:
                typer.echo(next(answers))
    if unread:
        raise typer.Exit(1)


def _answers(scorer: Scorer, asked: Sequence[_Asked]) -> Iterator[str]:
    if not asked:
        return
    readings = scorer.read(scorer.encode([one.scene for one in asked if isinstance(one.scene, Scene)]))
    for one, reading in zip(asked, readings, strict=True):
        answer = {
            "id": one.name,
            "resonance": reading.p_form,
            "parts": reading.parts.model_dump(mode="json"),
            "chain": [code.model_dump() for code in reading.chain],
            "flags": ["cut"] if reading.cut else [],
        }
        yield json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace").decode()


def _read(file: str, terms: Terms, context_turns: int) -> Iterator[_Asked]:
    for line in read_lines(file):
        if isinstance(line, Item):
            refusal = line.event if isinstance(line.event, Refusal) else Refusal(DeadReason.BROKEN_JSON, "no line")
            yield _Asked(f"{line.where.source}:{line.where.line}", None, refusal)
            continue
        where = f"{line.source}:{line.line}"
        if len(line.raw) > MAX_LINE_BYTES:
            yield _Asked(where, None, Refusal(DeadReason.TOO_LONG, f"the line is over {MAX_LINE_BYTES} bytes"))
            continue
        value = read_json(line.raw)
        if isinstance(value, Refusal):
            yield _Asked(where, None, value)
        elif not isinstance(value, dict) or "draft" not in value:
            yield _Asked(where, None, Refusal(DeadReason.WRONG_FIELDS, 'no {"id", "context", "draft"}'))
        else:
            yield _ask(value, where, line.line, terms, context_turns)


def _ask(value: dict[str, object], where: str, line: int, terms: Terms, context_turns: int) -> _Asked:
    name = value.get("id", line)
    if isinstance(name, bool) or not isinstance(name, str | int):
        return _Asked(where, None, Refusal(DeadReason.WRONG_FIELDS, "`id` is neither a text nor a number"))
    context = turns_of(value.get("context", []))
    scene = {field: value[field] for field in _FIELDS if field in value} | {
        "type": "scene",
        "dialogue_id": value.get("dialogue_id", f"line {line}"),
        "turn": 0,
        "context": context[-context_turns:] if isinstance(context, list) else context,
    }
    admitted = admit(scene, terms)
    if not isinstance(admitted, Scene | Refusal):
        admitted = Refusal(DeadReason.WRONG_FIELDS, "the line is no scene")
    return _Asked(f"{where}: id {name!r:.80}" if isinstance(admitted, Refusal) else where, name, admitted)

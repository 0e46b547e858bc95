"""Read logs: chat or our own JSONL, plain or gzip, files or stdin, a line at a time."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from schemas.dead import DeadReason
from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.replay.chat_log import read_dialogue
from streams.replay.items import Item, Where
from streams.stages.admit import Refusal, Terms, admit, check_fresh, check_scene, read_json

STDIN = "-"
MAX_LINE_BYTES = 32 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"


class LogError(Exception):
    """A log that cannot be read at all; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the logs to read: so many scenes at most, one dialogue only, so much context."""

    context_turns: int
    limit: int | None = None
    dialogue_id: str | None = None


def check_logs(paths: Iterable[str]) -> None:
    """Raise LogError for the first log that is not there or cannot be opened."""
    for path in paths:
        if path == STDIN:
            continue
        if Path(path).is_dir():
            raise LogError(f"{path} is a folder; name the log files in it")
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise LogError(f"cannot read {path}: {error.strerror}; check the name") from error


def read_logs(paths: Iterable[str], terms: Terms, selection: Selection) -> Iterator[Item]:
    """Yield the events of the logs in order, at most `limit` scenes of them."""
    scenes = 0
    for path in paths:
        for where in read_lines(path):
            if isinstance(where, Item):
                yield where
                continue
            kept = where.kept()
            for event in _events(where, terms, selection.context_turns):
                if selection.dialogue_id is not None and getattr(event, "dialogue_id", None) != selection.dialogue_id:
                    continue
                if isinstance(event, Scene):
                    scenes += 1
                    if selection.limit is not None and scenes > selection.limit:
                        return
                yield Item(kept, event)


def size_of(paths: Iterable[str]) -> int | None:
    """Return the bytes of all logs, for a progress bar, gzip by what it unpacks to; None where one is stdin."""
    sizes = [None if path == STDIN else _unpacked_size(Path(path)) for path in paths]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _unpacked_size(path: Path) -> int:
    with path.open("rb") as stream:
        if stream.read(2) != _GZIP_MAGIC:
            return path.stat().st_size
        stream.seek(-4, io.SEEK_END)
        return int.from_bytes(stream.read(4), "little")


def _events(where: Where, terms: Terms, context_turns: int) -> Iterator[Scene | Feedback | Refusal]:
    if len(where.raw) > MAX_LINE_BYTES:
        yield Refusal(DeadReason.TOO_LONG, f"the line is over {MAX_LINE_BYTES} bytes")
        return
    value = read_json(where.raw)
    if isinstance(value, Refusal):
        yield value
    elif isinstance(value, dict) and "messages" in value:
        for event in read_dialogue(value, context_turns):
            yield check_scene(event, terms) if isinstance(event, Scene) else event
    else:
        event = admit(value, terms)
        refusal = check_fresh(event) if isinstance(event, Scene) else None
        yield event if refusal is None else refusal


def read_lines(path: str) -> Iterator[Where | Item]:
    """Yield each line of a log that holds something; a refusal where a gzip stream breaks off. Raises LogError."""
    # A file's name may be no UTF-8; a dead letter that names it must be.
    source = "stdin" if path == STDIN else os.fsencode(path).decode("utf-8", "replace")
    number = 0
    try:
        with _open(path) as stream:
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                complete = line
                while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                    line = stream.readline(MAX_LINE_BYTES + 1)
                if complete.strip():
                    yield Where(source, number, complete.rstrip(b"\r\n"), len(complete))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        broken = Refusal(DeadReason.BROKEN_JSON, f"the gzip stream breaks off after line {number} ({error})")
        yield Item(Where(source, number + 1, b"", 0), broken)
    except OSError as error:
        raise LogError(f"cannot read {source}: {error.strerror or error}; check the file") from error


@contextmanager
def _open(path: str) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    with ExitStack() as files:
        stream = sys.stdin.buffer if path == STDIN else files.enter_context(Path(path).open("rb"))
        buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
        if buffered.peek(2)[:2] == _GZIP_MAGIC:
            yield files.enter_context(gzip.GzipFile(fileobj=buffered, mode="rb"))
        else:
            yield buffered

"""Read logs: chat or our own JSONL, plain or gzip, files or stdin, a line at a time."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from schemas.dead import DeadReason
from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.replay.chat_log import read_dialogue
from streams.replay.items import Item, Where
from streams.stages.admit import Refusal, Terms, admit, check_fresh, check_scene, read_json

STDIN = "-"
MAX_LINE_BYTES = 32 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_SMALLEST_GZIP_BYTES = 18


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
            if sys.stdin is None:
                raise LogError("cannot read stdin: it is closed; pipe a log into it")
            continue
        if Path(path).is_dir():
            raise LogError(f"{path} is a folder; name the log files in it")
        try:
            # Opening a pipe takes from it, or waits: what is there to be read once is left alone.
            if is_read_once(path):
                continue
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
            kept, value = where.kept(), _value(where)
            for event in _events(value, terms, selection.context_turns):
                if selection.dialogue_id is not None and _dialogue_of(event, value) != selection.dialogue_id:
                    continue
                if isinstance(event, Scene):
                    scenes += 1
                    if selection.limit is not None and scenes > selection.limit:
                        return
                yield Item(kept, event)


def is_read_once(path: str) -> bool:
    """Return whether a log is gone once it was read: stdin, a pipe, a terminal. Raises OSError where none is there."""
    return path == STDIN or not stat.S_ISREG(Path(path).stat().st_mode)


def size_of(paths: Iterable[str]) -> int | None:
    """Return the bytes of all logs, for a progress bar, gzip by what it unpacks to; None where one is read once."""
    sizes = [None if is_read_once(path) else _unpacked_size(Path(path)) for path in paths]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _unpacked_size(path: Path) -> int:
    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(2) != _GZIP_MAGIC or size < _SMALLEST_GZIP_BYTES:
            return size
        stream.seek(-4, io.SEEK_END)
        return int.from_bytes(stream.read(4), "little")


def _value(where: Where) -> object | Refusal:
    if len(where.raw) > MAX_LINE_BYTES:
        return Refusal(DeadReason.TOO_LONG, f"the line is over {MAX_LINE_BYTES} bytes")
    return read_json(where.raw)


def _events(value: object | Refusal, terms: Terms, context_turns: int) -> Iterator[Scene | Feedback | Refusal]:
    if isinstance(value, Refusal):
        yield value
    elif isinstance(value, dict) and "messages" in value:
        for event in read_dialogue(value, context_turns):
            yield check_scene(event, terms) if isinstance(event, Scene) else event
    else:
        event = admit(value, terms)
        refusal = check_fresh(event) if isinstance(event, Scene) else None
        yield event if refusal is None else refusal


def _dialogue_of(event: Scene | Feedback | Refusal, value: object) -> str | None:
    """Return whose event this is; of what cannot be read, as far as its line says so."""
    if not isinstance(event, Refusal):
        return event.dialogue_id
    return str(value.get("id" if "messages" in value else "dialogue_id")) if isinstance(value, dict) else None


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
                if complete.strip() or len(complete) > MAX_LINE_BYTES:
                    yield Where(source, number, complete.rstrip(b"\r\n"), len(complete))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        broken = Refusal(
            DeadReason.BROKEN_JSON, f"the gzip stream breaks off after line {number} ({error}): copy it again"
        )
        yield Item(Where(source, number + 1, b"", 0), broken)
    except OSError as error:
        raise LogError(f"cannot read {source}: {error.strerror or error}; check the file") from error


@contextmanager
def _open(path: str) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    with ExitStack() as files:
        stream = _stdin() if path == STDIN else files.enter_context(Path(path).open("rb"))
        buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
        if buffered.peek(2)[:2] == _GZIP_MAGIC:
            yield files.enter_context(gzip.GzipFile(fileobj=buffered, mode="rb"))
        else:
            yield buffered


def _stdin() -> IO[bytes]:
    """Return stdin with a buffer of our own: a thread that waits in that of `sys.stdin` would crash the exit."""
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except io.UnsupportedOperation:
        return sys.stdin.buffer

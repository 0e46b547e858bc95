"""Dead letters for a person: grouped by reason, stage and topic, with a few masked samples of each."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from schemas.base import Frozen
from schemas.dead import DeadLetter
from schemas.topics import dead_topic
from streams.kafka.dead_letters import Letter
from streams.kafka.letter_words import Namer, lies_elsewhere, show_body, show_message
from streams.replay.run_dir import DEAD, told_where
from streams.replay.run_reader import read_dead

_MOST_GROUPS = 200
_SAMPLES = 3
# Larger bodies are not read at all to be shown, only cut.
_WHOLE_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 4000
_NAME_CHARACTERS = 200


class GroupName(Frozen):
    """What the letters of a group have in common; `topic` is where they came from, as the map calls it."""

    topic: str
    stage: str
    reason: str


class LetterSample(Frozen):
    """A dead letter; `body` and `message` are masked, and cut where they are long (`body_bytes` is what there was)."""

    place: str
    source: str
    key: str | None
    failed_at: datetime
    redrives: int
    message: str
    body: str
    body_bytes: int
    body_cut: bool


class LetterGroup(Frozen):
    """Letters that were not sent back. `held_back` came back dead too often to be sent once more."""

    name: GroupName
    count: int
    held_back: int
    total_bytes: int
    oldest: datetime
    newest: datetime
    samples: tuple[LetterSample, ...]


class Graveyard(Frozen):
    """All groups, the largest first, as of `at`; `cut` where there were more letters than are looked at.

    `refused` tells of dead topics that may not be read, whose letters are not among these.
    """

    at: datetime
    letters: int
    groups: tuple[LetterGroup, ...]
    cut: bool = False
    refused: tuple[str, ...] = ()


@dataclass(slots=True)
class _Group:
    oldest: datetime
    newest: datetime
    count: int = 0
    held_back: int = 0
    total_bytes: int = 0
    samples: deque[Letter | LetterSample] = field(default_factory=lambda: deque(maxlen=_SAMPLES))


class Grouped:
    """Groups letters as they come; `most_redrives` is how often one may be sent back, `name` masks ids."""

    def __init__(self, most_redrives: int, *, texts: bool, prefix: str = "", name: Namer | None = None) -> None:
        self.letters = 0
        self.cut = False
        self._most_redrives = most_redrives
        self._texts = texts
        self._prefix = prefix
        self._name = name
        self._groups: dict[GroupName, _Group] = {}

    def take(self, letter: Letter) -> None:
        """Count a letter."""
        held_back = letter.redrives >= self._most_redrives or bool(letter.left_out)
        # Few are shown in the end; a large one is not kept until then.
        shown = sample(letter, texts=self._texts, name=self._name) if _weight(letter) > _WHOLE_BYTES else letter
        self.add(
            group_of(letter, self._prefix), shown, letter.failure.failed_at, letter.value_bytes, held_back=held_back
        )

    def add(
        self, name: GroupName, shown: Letter | LetterSample, failed_at: datetime, size: int, *, held_back: bool
    ) -> None:
        """Count what is shown like this; groups beyond 200 are only counted among the letters."""
        self.letters += 1
        group = self._groups.get(name)
        if group is None:
            if len(self._groups) >= _MOST_GROUPS:
                self.cut = True
                return
            group = self._groups[name] = _Group(failed_at, failed_at)
        group.count += 1
        group.held_back += held_back
        group.total_bytes += size
        group.oldest = min(group.oldest, failed_at)
        group.newest = max(group.newest, failed_at)
        group.samples.append(shown)

    def graveyard(self, at: datetime) -> Graveyard:
        """Return the groups, the largest first; samples are the letters that came last."""
        ordered = sorted(
            self._groups.items(), key=lambda one: (-one[1].count, one[0].topic, one[0].stage, one[0].reason)
        )
        return Graveyard(
            at=at,
            letters=self.letters,
            groups=tuple(
                LetterGroup(
                    name=name,
                    count=group.count,
                    held_back=group.held_back,
                    total_bytes=group.total_bytes,
                    oldest=group.oldest,
                    newest=group.newest,
                    samples=tuple(
                        sample(one, texts=self._texts, name=self._name) if isinstance(one, Letter) else one
                        for one in reversed(group.samples)
                    ),
                )
                for name, group in ordered
            ),
            cut=self.cut,
        )


def graveyard_of_run(folder: Path, *, texts: bool = False, name: Namer | None = None) -> Graveyard:
    """Return the dead letters of a run, grouped; their time is that of the run. Raises RunDirError."""
    grouped = Grouped(1, texts=texts)
    with told_where(folder):
        at = datetime.fromtimestamp((folder / DEAD).stat().st_mtime if (folder / DEAD).exists() else 0, UTC)
    for letter in read_dead(folder):
        grouped.add(
            GroupName(topic=letter.source, stage="replay", reason=letter.reason.value),
            _sample_of_run(letter, at, texts=texts, name=name),
            at,
            len((letter.raw or "").encode()),
            held_back=True,
        )
    return grouped.graveyard(at)


def group_of(letter: Letter, prefix: str = "") -> GroupName:
    """Return the group of a letter; who writes strange headers gets names that are cut."""
    failure = letter.failure
    return GroupName(
        topic=letter.place.topic.removeprefix(prefix).removesuffix(dead_topic(""))[:_NAME_CHARACTERS],
        stage=failure.stage[:_NAME_CHARACTERS],
        reason=failure.exception[:_NAME_CHARACTERS],
    )


def sample(letter: Letter, *, texts: bool, name: Namer | None = None) -> LetterSample:
    """Return a letter as it is shown: words masked unless `texts`, and no more of it than a page can bear."""
    body, cut = preview(letter.value, texts=texts, name=name)
    if letter.left_out:
        body, cut = lies_elsewhere(letter)[:_SHOWN_CHARACTERS], True
    key = None if letter.key is None else letter.key.decode("utf-8", "backslashreplace")
    return LetterSample(
        place=letter.name,
        source=letter.origin[:_NAME_CHARACTERS],
        key=key if key is None else (key if name is None else name("key", key))[:_NAME_CHARACTERS],
        failed_at=letter.failure.failed_at,
        redrives=letter.redrives,
        message=show_message(letter.failure, texts=texts)[:_SHOWN_CHARACTERS],
        body=body,
        body_bytes=letter.value_bytes,
        body_cut=cut,
    )


def preview(value: bytes | None, *, texts: bool, name: Namer | None = None) -> tuple[str, bool]:
    """Return what is shown of a body, and whether that is not all of it."""
    if value is not None and len(value) > _WHOLE_BYTES:
        if texts:
            return value[:_WHOLE_BYTES].decode("utf-8", "backslashreplace")[:_SHOWN_CHARACTERS], True
        return f"{len(value)} bytes: too many to look for words in, so none are shown", True
    shown = show_body(value, texts=texts, name=name)
    return shown[:_SHOWN_CHARACTERS], len(shown) > _SHOWN_CHARACTERS


def _weight(letter: Letter) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in letter.headers)
    texts = (letter.source.topic, letter.failure.stage, letter.failure.exception, letter.failure.message)
    return len(letter.value or b"") + len(letter.key or b"") + headers + sum(map(len, texts))


def _sample_of_run(letter: DeadLetter, at: datetime, *, texts: bool, name: Namer | None) -> LetterSample:
    raw = None if letter.raw is None else letter.raw.encode()
    body, cut = ("not kept", False) if raw is None else preview(raw, texts=texts, name=name)
    return LetterSample(
        place=f"{letter.source}:{letter.line}",
        source=f"{letter.source}:{letter.line}",
        key=None,
        failed_at=at,
        redrives=0,
        message=letter.detail,
        body=body,
        body_bytes=0 if raw is None else len(raw),
        body_cut=cut,
    )

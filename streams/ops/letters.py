"""Dead letters for a person: grouped by reason, stage and topic, with a few masked samples of each."""

from __future__ import annotations

from datetime import datetime

from schemas.base import Frozen


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
    """All groups, the largest first, as of `at`; `cut` where there were more letters than are looked at."""

    at: datetime
    letters: int
    groups: tuple[LetterGroup, ...]
    cut: bool = False


class RedriveReport(Frozen):
    """What a redrive did, or would do (`dry_run`): how many letters, and which places, at most a hundred named."""

    dry_run: bool
    sent_back: int
    held_back: int
    places: tuple[str, ...]

"""The latest records in bounded memory, found by dialogue and by key: for following a dialogue while it goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from schemas.decision import Decision
from schemas.feedback import Feedback
from streams.kafka import wire
from streams.ops.follow.dialogue import Dialogue, DialogueStep
from streams.ops.follow.steps import dialogue_of, step_of
from streams.ops.reading.seen import DEAD, LARGEST_BYTES, LONGEST_ID, Record, RowSeen, Said, SceneSeen, said_by
from streams.stages.policy import Gate

MOST_STEPS = 500
# What a record costs beside its bytes: its own object, its places in two indexes and its names there; and a header.
_OVERHEAD_BYTES = 2200
_HEADER_BYTES = 250


@dataclass(frozen=True, slots=True)
class _Kept:
    record: Record
    dialogue_id: str | None
    key: str
    size: int


class Recent:
    """Records of the pipeline, the oldest let go beyond `most_bytes`."""

    def __init__(self, most_bytes: int) -> None:
        self.bytes = 0
        self.let_go = 0
        self._most = most_bytes
        self._kept: deque[_Kept] = deque()
        self._dialogues: dict[str, deque[_Kept]] = {}
        self._keys: dict[str, deque[_Kept]] = {}

    def take(self, record: Record, said: Said | None) -> None:
        """Keep a record that belongs to a dialogue; rows are kept where feedback left them."""
        if isinstance(said, RowSeen) and said.stage != "threshold":
            return
        key_bytes = record.key
        if said is None or key_bytes is None:
            return
        if len(record.value or b"") > LARGEST_BYTES:
            record = replace(record, value=None)
        key = key_bytes.decode("utf-8", "replace")
        dialogue = dialogue_id(record, said)
        kept = _Kept(record, dialogue, key, _size(record, key, dialogue))
        self._kept.append(kept)
        self._keys.setdefault(key, deque()).append(kept)
        if kept.dialogue_id is not None:
            self._dialogues.setdefault(kept.dialogue_id, deque()).append(kept)
        self.bytes += kept.size
        while self.bytes > self._most:
            self._let_go(self._kept.popleft())

    def records(self, dialogue: str | None, user: str | None) -> list[Record]:
        """Return the records of a dialogue, or of all dialogues of a user, with the rows that feedback left."""
        if dialogue is None:
            return [kept.record for kept in self._keys.get(user or "", ())]
        found = [kept for kept in self._dialogues.get(dialogue, ()) if user is None or kept.key == user]
        keys = {kept.key for kept in found}
        rows = [kept for key in keys for kept in self._keys[key] if kept.dialogue_id is None]
        return [kept.record for kept in (*found, *rows)]

    def latest(self, most: int) -> list[tuple[str, int, float | None]]:
        """Return the dialogues that were heard of last, the newest first: id, records kept, and when."""
        found: dict[str, float | None] = {}
        for kept in reversed(self._kept):
            if kept.dialogue_id is not None and kept.dialogue_id not in found:
                found[kept.dialogue_id] = kept.record.at
                if len(found) == most:
                    break
        return [(name, len(self._dialogues[name]), at) for name, at in found.items()]

    def __len__(self) -> int:
        return len(self._kept)

    def _let_go(self, oldest: _Kept) -> None:
        self.bytes -= oldest.size
        self.let_go += 1
        for index, name in ((self._keys, oldest.key), (self._dialogues, oldest.dialogue_id)):
            if name is not None:
                line = index[name]
                line.popleft()
                if not line:
                    del index[name]


def _size(record: Record, key: str, dialogue: str | None) -> int:
    """Return what a record takes of memory at most; what is no ASCII takes up to four bytes a character."""
    names = _bytes(key) + _bytes(dialogue or "")
    headers = sum(_bytes(name) + len(value or b"") + _HEADER_BYTES for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + names + headers + _OVERHEAD_BYTES


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)


def dialogue_id(record: Record, said: Said | None) -> str | None:
    """Return the dialogue that a record belongs to; None where it does not say, as a row of a key."""
    if isinstance(said, SceneSeen | Decision | Feedback):
        return said.dialogue_id
    if record.topic in DEAD:
        found = said_by(record.value).get("dialogue_id")
        return found if isinstance(found, str) and len(found) <= LONGEST_ID else None
    return None


def follow(
    records: Sequence[Record], dialogue: str | None, gate: Gate, *, texts: bool, whole: bool, most: int = MOST_STEPS
) -> Dialogue:
    """Return the steps of a dialogue, or of all of a key's, out of the key's records."""
    steps = [step for step in (step_of(record, gate, texts=texts) for record in records) if step is not None]
    paired = _with_scenes(records, steps)
    mine = [step for step in paired if dialogue is None or step.dialogue_id == dialogue]
    return dialogue_of(mine, texts=texts, whole=whole, most=most)


def _with_scenes(records: Iterable[Record], steps: Sequence[DialogueStep]) -> Iterator[DialogueStep]:
    """Give each row the scene of the feedback that left it; a row whose feedback is not there is left out."""
    ids = {(r.topic, r.partition, r.offset): wire.header(r.headers, "ce_id") for r in records}
    spoken = {wire.row_id(step.scene_id, "threshold", 0): step for step in steps if step.kind == "feedback"}
    for step in steps:
        if step.kind != "row":
            yield step
            continue
        feedback = spoken.get(ids[step.topic or "", step.partition or 0, step.offset or 0] or "")
        if feedback is not None:
            update = {
                "scene_id": feedback.scene_id,
                "dialogue_id": feedback.dialogue_id,
                "user_id": feedback.user_id,
                "turn": feedback.turn,
            }
            yield step.model_copy(update=update)

"""Logs made by seed: many keys side by side, with everything that a log may hold in and out of place."""

from __future__ import annotations

import random

from builders import feedback, scene

from schemas.dead import DeadReason
from schemas.feedback import Feedback, Preference
from schemas.names import REGISTERS
from schemas.scene import Scene, Utterance
from streams.replay.items import Item, Where
from streams.stages.admit import Refusal


def log(seed: int, scenes: int = 300, users: int = 12) -> list[Item]:
    """Return a log of so many scenes; repeats, disorder, labels of all kinds and refusals come on top."""
    rng = random.Random(seed)
    events: list[Scene | Feedback | Refusal] = []
    turns: dict[tuple[str, str | None], int] = {}
    said: list[Scene] = []
    while sum(isinstance(event, Scene) for event in events) < scenes:
        number = rng.randrange(users)
        user = None if number == 0 else f"u{number}"
        dialogue = f"{user}-{rng.randrange(2)}"
        turn = turns[dialogue, user] = turns.get((dialogue, user), 0) + rng.choice([1, 2])
        one = _scene(dialogue, user, turn)
        said.append(one)
        events.append(one)
        events.extend(_what_follows(rng, said))
    return [Item(Where("log.jsonl", line, b"{}"), event) for line, event in enumerate(events, 1)]


def _scene(dialogue: str, user: str | None, turn: int) -> Scene:
    before = Utterance(role="user", text=f"{dialogue} before {turn}")
    return scene(turn, dialogue, user, draft=f"{dialogue} at {turn}", context=(before,))


def _what_follows(rng: random.Random, said: list[Scene]) -> list[Scene | Feedback | Refusal]:
    about = said[-1] if rng.random() < 0.7 else rng.choice(said[-60:])
    label = feedback(about.turn, rng.random() < 0.6, about.dialogue_id, about.user_id)
    told = Preference(register=rng.choice(REGISTERS), brevity=rng.choice([None, 0.5, 1.0]))
    lost = about.turn - 1 if about.turn % 2 else about.turn + 500
    ways: list[list[Scene | Feedback | Refusal]] = [
        [], [], [], [label], [label], [label, label],
        [feedback(about.turn, None, about.dialogue_id, about.user_id, preference=told)],
        [feedback(lost, True, about.dialogue_id, about.user_id)],
        [about], [_scene(about.dialogue_id, about.user_id, max(0, about.turn - 1))],
        [Refusal(DeadReason.BROKEN_JSON, "not JSON")],
    ]  # fmt: skip
    return rng.choice(ways)

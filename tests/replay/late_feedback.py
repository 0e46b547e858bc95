"""Makes of a rated chat log one of scenes and feedback: dialogues interleave, ratings come late, or twice and unlike.

python -m tests.replay.late_feedback RATED_LOG > LOG
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.replay.chat_log import read_dialogue

_OPEN_DIALOGUES = 6
_CONTEXT_TURNS = 32
# How many lines later a rating comes, and how often: at once, after a while, long after its ledger entry expired.
_DELAYS = ((0, 0.55), (8, 0.3), (240, 0.15))
_REPEATED = 0.25


def own_lines(chats: Iterable[str], seed: int) -> Iterator[str]:
    """Yield the lines of the new log; the same chats and seed give the same lines."""
    rng = Random(seed)
    due: list[tuple[int, str]] = []
    for number, event in enumerate(_interleaved([json.loads(line) for line in chats], rng)):
        ready = [line for at, line in due if at <= number]
        due = [(at, line) for at, line in due if at > number]
        yield from ready
        if isinstance(event, Scene):
            yield _line(event)
            continue
        delay = rng.choices([delay for delay, _ in _DELAYS], [share for _, share in _DELAYS])[0]
        due.append((number + rng.randint(0, delay), _line(event)))
        if rng.random() < _REPEATED:
            unlike = event.model_copy(update={"rating": 1.0 - (event.rating or 0.0)})
            due.append((number + rng.randint(0, 40), _line(unlike if rng.random() < 0.3 else event)))
    yield from (line for _, line in due)


def _interleaved(chats: list[dict[str, object]], rng: Random) -> Iterator[Scene | Feedback]:
    waiting = [
        [event for event in read_dialogue(chat, _CONTEXT_TURNS) if isinstance(event, Scene | Feedback)]
        for chat in reversed(chats)
    ]
    talking: list[list[Scene | Feedback]] = []
    while waiting or talking:
        while waiting and len(talking) < _OPEN_DIALOGUES:
            talking.append(waiting.pop())
        dialogue = rng.choice(talking)
        if dialogue:
            yield dialogue.pop(0)
        else:
            talking.remove(dialogue)


def _line(event: Scene | Feedback) -> str:
    return json.dumps({"type": event.type, **event.model_dump(mode="json", exclude_defaults=True)}, ensure_ascii=False)


if __name__ == "__main__":
    for line in own_lines(Path(sys.argv[1]).read_text("utf-8").splitlines(), seed=0):
        sys.stdout.write(line + "\n")

"""Chat logs: {"messages": [{"role", "content"}]} a line, each assistant turn a draft, its rating the feedback on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from schemas.dead import DeadReason
from schemas.feedback import Feedback
from schemas.ids import dialogue_id_of
from schemas.names import Role
from schemas.scene import Scene, Utterance
from streams.stages.admit import Refusal, check_text

# Chat formats name more roles than a dialogue has: instructions count as system, the talk between programs is left out.
_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_UNSPOKEN_ROLES = frozenset({"tool", "function"})
_RATING_WORDS: Mapping[str, float] = {"up": 1.0, "down": 0.0}
# A scene's id, which may be 512 characters long, is its dialogue's and a colon and the turn.
_MAX_ID = 500


def read_dialogue(line: Mapping[str, object], context_turns: int) -> Iterator[Scene | Feedback | Refusal]:
    """Yield the scenes and feedback of one logged dialogue, in order.

    A fault of the dialogue as a whole (no messages, an unknown role) yields one refusal and nothing else; a fault of
    one message yields a refusal in its place, and what follows does not see that message.
    """
    messages = line.get("messages")
    if not isinstance(messages, list) or not messages:
        yield Refusal(DeadReason.WRONG_FIELDS, "`messages` is not a list with something in it")
        return
    read = [_read_message(message, position) for position, message in enumerate(messages)]
    fault = next((one for one in read if isinstance(one, Refusal)), None)
    names = _read_names(line)
    if fault is not None or isinstance(names, Refusal):
        yield fault if fault is not None else names  # type: ignore[misc]
        return
    said = [one for one in read if isinstance(one, tuple)]
    dialogue_id = names["id"] or dialogue_id_of([(role, text) for _, role, text, _ in said])
    yield from _turns(said, dialogue_id, names["user_id"], names["task"], context_turns)


_Message = tuple[int, Role, str, object]


def _turns(
    said: list[_Message], dialogue_id: str, user_id: str | None, task: str | None, context_turns: int
) -> Iterator[Scene | Feedback | Refusal]:
    context: list[Utterance] = []
    for turn, role, text, rating in said:
        refusal = check_text(text, f"`messages.{turn}.content`")
        if refusal is None:
            if role == "assistant":
                yield Scene(
                    scene_id=f"{dialogue_id}:{turn}",
                    dialogue_id=dialogue_id,
                    user_id=user_id,
                    task=task,
                    turn=turn,
                    context=tuple(context[-context_turns:]),
                    draft=text,
                )
                if rating is not None:
                    yield _feedback(rating, turn, dialogue_id, user_id)
            context.append(Utterance(role=role, text=text))
        elif role == "assistant" or refusal.reason is not DeadReason.EMPTY_DRAFT:
            yield refusal


def _read_names(line: Mapping[str, object]) -> dict[str, str | None] | Refusal:
    names: dict[str, str | None] = {}
    for field in ("id", "user_id", "task"):
        value = line.get(field)
        text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) and value != "" else None
        if (value is not None and text is None) or (text is not None and len(text) > _MAX_ID):
            return Refusal(DeadReason.WRONG_FIELDS, f"`{field}` is no text of 1 to {_MAX_ID} characters")
        names[field] = text
    return names


def _read_message(message: object, position: int) -> _Message | Refusal | None:
    where = f"`messages.{position}"
    if not isinstance(message, dict):
        return Refusal(DeadReason.WRONG_FIELDS, f"{where}` is not an object")
    role = message.get("role")
    if isinstance(role, str) and role in _UNSPOKEN_ROLES:
        return None
    if not isinstance(role, str) or role not in _ROLES:
        return Refusal(DeadReason.UNKNOWN_ROLE, f"{where}.role` is none of ours", f"{role!r:.60}")
    content = message.get("content")
    if content is None and message.get("tool_calls"):
        return None
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        parts = [part.get("text") for part in content if part.get("type") == "text"]
        content = "\n".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        return Refusal(DeadReason.WRONG_FIELDS, f"{where}.content` is not a text")
    return position, _ROLES[role], content, message.get("rating")


def _feedback(rating: object, turn: int, dialogue_id: str, user_id: str | None) -> Feedback | Refusal:
    value = _RATING_WORDS.get(rating) if isinstance(rating, str) else rating
    if isinstance(value, bool):
        value = float(value)
    if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        return Refusal(
            DeadReason.WRONG_FIELDS, f"`messages.{turn}.rating` is not up, down or 0 to 1", f"{rating!r:.40}"
        )
    return Feedback(
        scene_id=f"{dialogue_id}:{turn}", dialogue_id=dialogue_id, turn=turn, user_id=user_id, rating=float(value)
    )

"""What a person types as context: words alone alternate, the last ones being the user's."""

from __future__ import annotations

from collections.abc import Sequence


def turns_of(context: object) -> object:
    """Return a context as the wire has it: plain texts get their roles, `content` is read as `text`.

    Anything else is passed on as it is, for admit to say what is wrong with it.
    """
    if not isinstance(context, Sequence) or isinstance(context, str):
        return context
    return [_turn(said, len(context) - 1 - place) for place, said in enumerate(context)]


def _turn(said: object, after: int) -> object:
    if isinstance(said, str):
        return {"role": "assistant" if after % 2 else "user", "text": said}
    if isinstance(said, dict) and "content" in said and "text" not in said:
        return {"text" if name == "content" else name: value for name, value in said.items()}
    return said

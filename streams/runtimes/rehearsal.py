"""A rehearsal: whether the models of this process stand a scene of our own, before one that may have killed is tried.

Where memory is short, or a library does not fit the processor, a process dies of whatever it is asked first. Without a
rehearsal three such deaths would put an innocent scene aside, and two more the next one.
"""

from __future__ import annotations

from schemas.scene import Scene, Utterance
from streams.kafka.records import HandlerError
from streams.kafka.suspects import Hung
from streams.runtimes.worker_desk import Desk

_SCENE = Scene(
    dialogue_id="rehearsal",
    turn=1,
    context=(Utterance(role="user", text="Are you there?"),),
    draft="I am here, and I am listening.",
)


async def rehearse(desk: Desk) -> None:
    """Return when the models have answered; raises HandlerError where they cannot, Hung where they do not."""
    try:
        encoded = await desk.encoder.ask(desk.scorer.encode, [_SCENE])
        await desk.models.ask(desk.scorer.read, encoded)
    except Hung:
        raise
    except Exception as error:
        raise HandlerError(f"the models cannot judge a scene of our own: {type(error).__name__}") from error

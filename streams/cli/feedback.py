"""`scenestream feedback`: say how words were taken, or what a listener likes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer
from aiokafka import AIOKafkaProducer

from schemas import topics
from schemas.feedback import Feedback, Preference
from schemas.names import Register
from streams.cli.configured import load_settings
from streams.kafka import wire
from streams.kafka.clients import client_options, connected
from streams.replay.items import Item, Where
from streams.runtimes.lockstep import Outcome
from streams.runtimes.remote import RemoteRuntime
from streams.settings import KafkaSettings

Accepted = Annotated[bool | None, typer.Option("--accepted/--rejected", help="How the words were taken.")]
Rating = Annotated[float | None, typer.Option("--rating", min=0.0, max=1.0, help="0 to 1; below .5 is rejected.")]
User = Annotated[str | None, typer.Option("--user", help="The user_id of the scene, where it has one.")]
Voice = Annotated[Register | None, typer.Option("--register", help="The register that the listener likes.")]
Brevity = Annotated[float | None, typer.Option("--brevity", min=0.0, max=1.0, help="How brief the listener likes it.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for what the pipeline makes of it.")]
_MEANS = {
    "learnt": "it moved thresholds and the ledger",
    "told": "a preference, told",
    "repeated": "the scene has a label already; nothing changes",
    "inapplicable": "the words were not said as they were: healed, withheld or spoilt",
}


def feedback(
    dialogue: Annotated[str, typer.Argument(metavar="DIALOGUE", help="The dialogue_id of the scene.")],
    turn: Annotated[int, typer.Argument(metavar="TURN", min=0, help="The turn of the scene.")],
    accepted: Accepted = None,
    rating: Rating = None,
    user: User = None,
    register: Voice = None,
    brevity: Brevity = None,
    wait: Wait = True,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Send feedback on one scene to the pipeline on Kafka, and say what it came to.

    Exit 1 where the pipeline puts it aside as a dead letter.
    """
    given = {"register": register, "brevity": brevity}
    told = None if register is None and brevity is None else Preference.model_validate(given)
    if accepted is None and rating is None and told is None:
        raise typer.BadParameter("say --accepted, --rejected, --rating, --register or --brevity")
    kafka = load_settings().kafka
    event = Feedback(dialogue_id=dialogue, turn=turn, user_id=user, accepted=accepted, rating=rating, preference=told)
    if not wait:
        asyncio.run(_send(kafka, event))
        typer.echo("sent")
        return
    _tell(_ask(kafka, event))


def _ask(kafka: KafkaSettings, event: Feedback) -> Outcome:
    where = Where("command line", 1, event.model_dump_json().encode())
    [outcome] = RemoteRuntime(kafka, open_scenes=8).run([Item(where, event)])
    return outcome


def _tell(outcome: Outcome) -> None:
    if outcome.dead is not None:
        typer.echo(f"dead letter, {outcome.dead.reason.value}: {outcome.dead.detail}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{outcome.feedback}: {_MEANS[str(outcome.feedback)]}")


async def _send(kafka: KafkaSettings, event: Feedback) -> None:
    message = wire.encode(event, at=datetime.now(UTC))
    async with connected(AIOKafkaProducer(**client_options(kafka)), kafka) as producer:
        await producer.send_and_wait(
            kafka.topic(topics.FEEDBACK), message.value, key=message.key, headers=list(message.headers)
        )

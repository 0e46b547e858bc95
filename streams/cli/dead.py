"""`scenestream dead`: look at dead letters and send them back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from aiokafka.errors import TopicAuthorizationFailedError

from schemas.topics import dead_topic
from streams.cli import times
from streams.cli.configured import load_settings
from streams.cli.terminal import clean, clean_line
from streams.kafka.clients import not_allowed
from streams.kafka.dead_letters import Letter
from streams.kafka.graveyard import Choice, letter_at, letters
from streams.kafka.letter_words import lies_elsewhere, show_body, show_message
from streams.kafka.numbers import number_in
from streams.kafka.records import Place
from streams.kafka.redrive import Redriven, Sendable, redrive, waiting
from streams.ops.words import counted
from streams.settings import KafkaSettings
from streams.topology import AGENTS

app = typer.Typer(help="Look at dead letters, and send them back.", no_args_is_help=True)

Topic = Annotated[
    list[str] | None,
    typer.Option("--topic", metavar="TOPIC", help="Where they came from, e.g. scenes; all by default."),
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="Failed since: 90m, 2h, 3d or 2026-03-01T12:00.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Failed for this, e.g. unknown_code or ValueError.")]
Most = Annotated[int, typer.Option("--max", min=1, help="So many at most.")]
Texts = Annotated[bool, typer.Option("--texts", help="Show what was said; without it words are counted, not shown.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be sent back, and send nothing.")]


@app.command("list")
def list_letters(
    topic: Topic = None,
    since: Since = None,
    reason: Reason = None,
    most: Most = 100,
    texts: Texts = False,  # noqa: FBT002 - a flag of the command line
    as_json: AsJson = False,  # noqa: FBT002 - as texts
) -> None:
    """List the dead letters that were not sent back."""
    kafka = load_settings().kafka
    found = asyncio.run(_collect(kafka, _choice(kafka, topic, since, reason, most)))
    if as_json:
        for letter in found:
            typer.echo(json.dumps(_facts(letter, texts=texts), ensure_ascii=False))
        return
    _print(found, texts=texts)


@app.command("show")
def show_letter(
    place: Annotated[str, typer.Argument(metavar="TOPIC:PARTITION:OFFSET", help="As `dead list` names it.")],
    texts: Texts = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Show one dead letter: where it was, why it died, its headers and its body."""
    topic, partition, offset = _place(place)
    letter = asyncio.run(letter_at(load_settings().kafka, topic, partition, offset))
    if letter is None:
        typer.echo(f"no dead letter at {place}; `scenestream dead list` names those that are there", err=True)
        raise typer.Exit(1)
    for name, value in _facts(letter, texts=texts).items():
        typer.echo(f"{name}: {clean(str(value))}")
    for name, header in letter.headers:
        typer.echo(f"header {clean(name)}: {_header(name, header, texts=texts)}")
    if letter.left_out:
        typer.echo(lies_elsewhere(letter))
        return
    # Whoever wrote it must not steer the terminal of who reads it.
    typer.echo("\n".join(map(clean_line, show_body(letter.value, texts=texts).split("\n"))))


@app.command("redrive")
def redrive_letters(
    topic: Topic = None,
    since: Since = None,
    reason: Reason = None,
    most: Most = 100,
    dry_run: DryRun = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Send dead letters back to where they came from, with their key, bytes and headers.

    Exit 1 where some were held back because they came back dead too often, or where Kafka refused some.
    """
    kafka = load_settings().kafka
    found = asyncio.run(_waiting(kafka, _choice(kafka, topic, since, reason, None), most))
    oldest_first = sorted(found.letters, key=_age)
    became = Redriven(oldest_first) if dry_run else asyncio.run(redrive(kafka, oldest_first))
    if became.sent:
        _print(became.sent, texts=False)
    would = "would be" if dry_run else "was" if len(became.sent) == 1 else "were"
    typer.echo(f"{counted(len(became.sent), 'dead letter')} {would} sent back")
    for place, why in became.refused.items():
        typer.echo(f"{place} stays, for Kafka refuses it: {clean(why)}", err=True)
    for letter in found.partial:
        typer.echo(f"{letter.name} stays: {lies_elsewhere(letter)}", err=True)
    if found.held_back:
        typer.echo(f"{found.held_back} held back: sent back {kafka.topics.max_redrives} times and dead again", err=True)
    if found.held_back or found.partial or became.refused:
        raise typer.Exit(1)


async def _waiting(kafka: KafkaSettings, choice: Choice, most: int) -> Sendable:
    with _told(kafka):
        return await waiting(kafka, choice, most)


async def _collect(kafka: KafkaSettings, choice: Choice) -> list[Letter]:
    with _told(kafka):
        return sorted([letter async for letter in letters(kafka, choice)], key=_age)


@contextmanager
def _told(kafka: KafkaSettings) -> Iterator[None]:
    """Tell in words that a topic may not be read."""
    try:
        yield
    except TopicAuthorizationFailedError as error:
        raise not_allowed(kafka, f"Read on {', '.join(map(str, error.args))}") from error


def _age(letter: Letter) -> tuple[datetime, Place, int]:
    return letter.failure.failed_at, letter.place, letter.offset


def _choice(
    kafka: KafkaSettings, named: list[str] | None, since: str | None, reason: str | None, most: int | None
) -> Choice:
    sources = named or [agent.reads for agent in AGENTS]
    when = None if since is None else times.when(since, datetime.now(UTC), "--since")
    return Choice(tuple(kafka.topic(dead_topic(source)) for source in sources), when, reason, most)


def _place(text: str) -> tuple[str, int, int]:
    topic, *digits = text.rsplit(":", 2)
    match [number_in(one) for one in digits]:
        case [int(partition), int(offset)]:
            return topic, partition, offset
        case _:
            raise typer.BadParameter("name it as `dead list` does, e.g. scenes.dead:0:17")


def _header(name: str, value: bytes | None, *, texts: bool) -> str:
    if value is None:
        return "no value"
    plain = texts or name.startswith(("ce_", "trace", "redrive.", "content-type"))
    return clean(value.decode("utf-8", "backslashreplace")) if plain else "<hidden>"


def _facts(letter: Letter, *, texts: bool) -> dict[str, object]:
    failure = letter.failure
    return {
        "letter": letter.name,
        "source": letter.origin,
        "key": None if letter.key is None else letter.key.decode("utf-8", "backslashreplace"),
        "bytes": letter.value_bytes,
        "left_out": ", ".join(letter.left_out) or None,
        "failed_at": failure.failed_at.isoformat(timespec="seconds"),
        "group": failure.group,
        "stage": failure.stage,
        "reason": failure.exception,
        "message": show_message(failure, texts=texts),
        "deliveries": failure.delivery_count,
        "redrives": letter.redrives,
    }


def _print(found: Sequence[Letter], *, texts: bool) -> None:
    if not found:
        typer.echo("no dead letters")
        return
    rows = []
    for letter in found:
        facts = _facts(letter, texts=texts)
        rows.append(
            [clean(str(facts[name])) for name in ("letter", "failed_at", "stage", "reason", "redrives", "message")]
        )
    # Lines rather than a table: a name that was cut short could not be given to `dead show`.
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        shown = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False))
        sent_back = f"  sent back {row[4]} times" if row[4] != "0" else ""
        typer.echo(f"{shown.rstrip()}{sent_back}\n    {row[5]}")

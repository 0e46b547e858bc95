"""`scenestream topics`: make the topics, and say what is wrong with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import typer
from aiokafka.admin import AIOKafkaAdminClient
from rich.console import Console
from rich.table import Table

from streams.cli.configured import load_settings
from streams.kafka.clients import client_options, connected
from streams.kafka.topics_admin import Admin, Found, create, faults, look, specs
from streams.settings import KafkaSettings

app = typer.Typer(help="Make and check the topics.", no_args_is_help=True)


@app.command("create")
def create_topics() -> None:
    """Make the topics that are missing, then check all of them; what is there is left as it is."""
    made, found = asyncio.run(_create(load_settings().kafka))
    _show(found, made)


@app.command("check")
def check_topics() -> None:
    """Check that every topic is there and right; exit 1 where one is not."""
    _show(asyncio.run(_check(load_settings().kafka)), [])


async def _create(kafka: KafkaSettings) -> tuple[list[str], list[Found]]:
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
        made = await create(cast("Admin", admin), specs(kafka))
        return made, await look(cast("Admin", admin), specs(kafka))


async def _check(kafka: KafkaSettings) -> list[Found]:
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
        return await look(cast("Admin", admin), specs(kafka))


def _show(found: Sequence[Found], made: Sequence[str]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("topic", "partitions", "replicas", "kept", ""):
        table.add_column(column, justify="right" if column in {"partitions", "replicas"} else "left")
    for one in found:
        config = one.config or {}
        state = "[red]wrong[/red]" if one.faults() else "made" if one.spec.name in made else "there"
        table.add_row(one.spec.name, _or_dash(one.partitions), _or_dash(one.replication), _kept(config), state)
    console = Console(soft_wrap=True)
    console.print(table)
    wrong = faults(found)
    for fault in wrong:
        console.print(fault, style="red", markup=False, highlight=False)
    if wrong:
        raise typer.Exit(1)


def _kept(config: dict[str, str] | object) -> str:
    if not isinstance(config, dict) or not config:
        return "-"
    if config["cleanup.policy"] != "delete":
        return "the latest of each key"
    hours = int(config["retention.ms"]) // 3_600_000
    return "for ever" if hours < 0 else f"{hours / 24:g} days"


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)

"""`scenestream`: its commands, and how failures are told to a person."""

from __future__ import annotations

import io
import sys
from importlib.metadata import version as version_of
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from models.errors import ModelError
from streams.cli import (
    compare,
    dashboard,
    dead,
    doctor,
    explain,
    export,
    feedback,
    lag,
    memory,
    models,
    offsets,
    priors,
    replay,
    score,
    topics,
    topology,
    worker,
)
from streams.kafka.clients import BrokerAway
from streams.kafka.topics_admin import TopicError
from streams.ops.dashboard.serve import CannotListen
from streams.ops.lag.reset import ResetError
from streams.replay.reader import LogError
from streams.replay.run_dir import RunDirError
from streams.runtimes.remote import RemoteError
from streams.settings import SettingsError

app = typer.Typer(
    name="scenestream",
    help="A self-healing stream processor for dialogue scenes. Start with `scenestream doctor` or `make demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("replay")(replay.replay)
app.command("score")(score.score)
app.command("explain")(explain.explain)
app.command("compare")(compare.compare)
app.command("topology")(topology.topology)
app.command("doctor")(doctor.doctor)
app.command("worker")(worker.worker)
app.command("feedback")(feedback.feedback)
app.command("dashboard")(dashboard.dashboard)
app.command("lag")(lag.lag)
app.command("export")(export.export)
app.add_typer(offsets.app, name="offsets")
app.add_typer(topics.app, name="topics")
app.add_typer(dead.app, name="dead")
app.add_typer(models.app, name="models")
app.add_typer(memory.app, name="memory")
app.add_typer(priors.app, name="priors")

# What a person can put right: told in a line on stderr, with exit code 2, without a traceback.
EXPECTED = (
    ModelError,
    LogError,
    RunDirError,
    SettingsError,
    BrokerAway,
    TopicError,
    RemoteError,
    ResetError,
    CannotListen,
)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer calls it
    if value:
        typer.echo(f"scenestream {version_of('scenestream')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[  # noqa: FBT002 - eager, and a flag
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; exit 0 done, 1 found something wrong, 2 could not be done as asked, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without UTF-8 gets \u escapes instead of a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app()
    except EXPECTED as error:
        for line in str(error).splitlines():
            errors.print(Text.assemble(("scenestream:", "red"), f" {line}"))
        sys.exit(2)
    except SystemExit as left:
        # Whoever reads the output has seen enough; typer calls that a failure.
        if isinstance(left.__context__, BrokenPipeError):
            sys.exit(0)
        raise
    except OSError as error:
        where = f" {error.filename}:" if error.filename else ""
        errors.print(f"scenestream:{where} {error.strerror or error}", markup=False)
        sys.exit(2)

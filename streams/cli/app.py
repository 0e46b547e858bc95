"""`scenestream`: its commands, and how failures are told to a person."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from importlib.metadata import version as version_of
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

# Each is what its module calls so; those that have commands of their own are an `app`.
COMMANDS = (
    *("replay", "score", "explain", "compare", "topology", "doctor"),
    *("worker", "feedback", "dashboard", "lag", "export"),
)
GROUPS = ("offsets", "topics", "dead", "models", "memory", "priors")

# What a person can put right: told in a line on stderr, with exit code 2, without a traceback. By name, for what was
# never loaded cannot have been raised.
EXPECTED = frozenset(
    {
        "models.errors.ModelError",
        "streams.kafka.clients.BrokerAway",
        "streams.kafka.redrive.RedriveError",
        "streams.kafka.topics_admin.TopicError",
        "streams.ops.dashboard.serve.CannotListen",
        "streams.ops.lag.reset.ResetError",
        "streams.replay.reader.LogError",
        "streams.replay.run_dir.RunDirError",
        "streams.runtimes.remote.RemoteError",
        "streams.settings.SettingsError",
    }
)


class _Commands(MutableMapping[str, Any]):
    """The commands by name, each loaded when it is asked for: to load all of them takes a second and a half.

    A worker that is started again after kill -9 has no use for what the dashboard needs.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a class that typer does not name
        if name not in self._loaded:
            self._loaded[name] = _load(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:  # noqa: ANN401 - as above
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> dict[str, None]:
        return dict.fromkeys((*COMMANDS, *GROUPS, *self._loaded))


class _Group(TyperGroup):
    """The program as a group of commands that are loaded when they are asked for."""

    def __init__(self, **told: Any) -> None:  # noqa: ANN401 - typer's own
        super().__init__(**told)
        self.commands = _Commands()


def _load(name: str) -> Any:  # noqa: ANN401 - a class that typer does not name
    if name not in {*COMMANDS, *GROUPS}:
        raise KeyError(name)
    module = import_module(f"streams.cli.{name}")
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    if name in GROUPS:
        alone.add_typer(module.app, name=name)
    else:
        alone.command(name)(getattr(module, name))
    # With a callback it stays a group, also of one command.
    alone.callback()(_nothing)
    return typer.main.get_group(alone).commands[name]


def _nothing() -> None:
    """Do nothing."""


app = typer.Typer(
    name="scenestream",
    cls=_Group,
    help="A self-healing stream processor for dialogue scenes. Start with `scenestream doctor` or `make demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
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
    except SystemExit as left:
        # Whoever reads the output has seen enough; typer calls that a failure.
        if isinstance(left.__context__, BrokenPipeError):
            sys.exit(0)
        raise
    except Exception as error:
        if is_expected(error):
            for line in str(error).splitlines():
                errors.print(Text.assemble(("scenestream:", "red"), f" {line}"))
        elif isinstance(error, OSError):
            where = f" {error.filename}:" if error.filename else ""
            errors.print(f"scenestream:{where} {error.strerror or error}", markup=False)
        else:
            raise
        sys.exit(2)


def is_expected(error: BaseException) -> bool:
    """Return whether it is one that a person can put right, by its class or one of its bases."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in EXPECTED for kind in type(error).__mro__)

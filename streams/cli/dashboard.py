"""`scenestream dashboard`: a page to watch by."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.configured import load_settings
from streams.cli.listening import check_free
from streams.ops.dashboard.guard import is_loopback
from streams.ops.dashboard.serve import serve

Host = Annotated[str | None, typer.Option("--host", help="Where to listen; this machine alone by default.")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="8088 by default; 0 takes a free one.")]
Runs = Annotated[
    list[Path] | None, typer.Option("--run", metavar="DIR", help="Show a replay's directory; needs no broker.")
]

# What the page starts replays by: this program, wherever it lies.
_REPLAY = (sys.executable, "-m", "streams.cli", "replay")


def dashboard(host: Host = None, port: Port = None, run: Runs = None) -> None:
    """Serve a page that shows whether the pipeline keeps up, and if not, where, why and for how long still.

    It only reads, unless SCENESTREAM_DASHBOARD__TOKEN is set and somebody signs in with it. Ctrl-C ends it.
    """
    settings = load_settings()
    told = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    shown = settings.dashboard.model_copy(update=told)
    if not is_loopback(shown.host):
        typer.echo(_warning(shown.host, guarded=shown.token is not None), err=True)
    check_free(shown.host, shown.port, "choose another --port (0 takes a free one)")
    asyncio.run(serve(settings.model_copy(update={"dashboard": shown}), tuple(run or ()), _REPLAY, _say))


def _say(address: str) -> None:
    typer.echo(f"dashboard: {address}")


def _warning(host: str, *, guarded: bool) -> str:
    changes = (
        "SCENESTREAM_DASHBOARD__TOKEN lets those who have it change things, and travels unencrypted: put TLS before it"
        if guarded
        else "nothing can be changed without SCENESTREAM_DASHBOARD__TOKEN, but whoever reaches it can read"
    )
    return f"WARNING: the dashboard listens at {host}, not at this machine alone: {changes}"

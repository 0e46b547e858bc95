"""The dashboard as a process: it watches, serves the page until told to stop, and lets go of everything in the end."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from aiohttp import web

from streams.ops.dashboard.assets import load_assets
from streams.ops.dashboard.beat import live_beat
from streams.ops.dashboard.burials import live_letters
from streams.ops.dashboard.events import Events
from streams.ops.dashboard.feed import Feed
from streams.ops.dashboard.guard import Guard, is_loopback
from streams.ops.dashboard.live import live_lag
from streams.ops.dashboard.map_view import map_document
from streams.ops.dashboard.replaying import live_replays
from streams.ops.dashboard.runs import ShownRuns
from streams.ops.dashboard.veil import Veil
from streams.ops.dashboard.web import make_app
from streams.settings import Settings

_END_WITHIN_SECONDS = 2.0


class CannotListen(Exception):  # noqa: N818 - what it is, not that it is an error
    """An address that cannot be listened at; the message says what, where and what to do."""


async def serve(settings: Settings, runs: Sequence[Path], command: Sequence[str], ready: Callable[[str], None]) -> None:
    """Serve the dashboard until SIGINT or SIGTERM; `ready` is told its address.

    With `runs` it shows these and needs no broker; `command` runs a replay that somebody asks for. Raises CannotListen
    where the address is taken, BrokerAway for Kafka settings that no client takes, RunDirError for what is no run.
    """
    dashboard = settings.dashboard
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, ended.set)
    feed = Feed()
    guard = Guard(dashboard.token, dashboard.names, time.monotonic, dashboard.proxies)
    veil = Veil(secrets.token_bytes(16))
    app = make_app(guard, await asyncio.to_thread(load_assets))
    async with AsyncExitStack() as stack:
        Events(feed, ended).add_routes(app)
        feed.publish("topology", map_document(settings.kafka.topic))
        # Without a token, whoever named a directory on this machine may read what lies in it.
        veiled = not runs or guard.opens or not is_loopback(dashboard.host)
        source = "run" if runs else "live"
        feed.publish("about", {"source": source, "version": version("scenestream"), "veiled": veiled})
        if not runs:
            ops = settings.ops.model_copy(update={"every_seconds": dashboard.every_seconds})
            lag = await stack.enter_async_context(live_lag(feed, settings.kafka, ops))
            lag.add_routes(app)
            beat = await stack.enter_async_context(live_beat(feed, settings, veil))
            beat.add_routes(app)
            letters = await stack.enter_async_context(live_letters(feed, settings.kafka, lambda: beat.dead_seen, veil))
            letters.add_routes(app)
            replays = await stack.enter_async_context(live_replays(feed, settings.ops, command, settings.kafka, veil))
            replays.add_routes(app)
        else:
            shown = await asyncio.to_thread(lambda: ShownRuns(runs, veil, veiled=veiled))
            shown.publish(feed)
            shown.add_routes(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_END_WITHIN_SECONDS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, dashboard.host, dashboard.port)
        try:
            await site.start()
        except OSError as error:
            where = f"{dashboard.host}:{dashboard.port}"
            raise CannotListen(
                f"cannot listen at {where}: {error.strerror}; choose another --port (0 takes a free one)"
            ) from error
        ready(_address(runner))
        await ended.wait()


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

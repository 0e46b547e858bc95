"""Faust's app as a worker wants it: what starts first, what is not waited for, and nothing in files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.tables import TableManager

from streams.settings import KafkaSettings, WebSettings


class _WebFirst(BootStrategy):
    """Starts the web server before anything that waits for Kafka, so that /livez answers meanwhile."""

    def server(self) -> Iterable[Any]:
        """Return the services in the order of their start."""
        return self._chain(
            self.sensors(),
            self.web_server(),
            self.kafka_producer(),
            self.kafka_consumer(),
            self.agents(),
            self.kafka_conductor(),
            self.tables(),
        )


class _Tables(TableManager):
    """Faust's tables, of which ours is declared before they start."""

    async def on_start(self) -> None:
        """Start at once: Faust waits a second for tables that are declared late, and nothing is consumed meanwhile."""
        await self._update_channels()
        await self.recovery.start()


class App(faust.App):
    """A Faust app that keeps nothing in files."""

    BootStrategy = _WebFirst

    async def on_first_start(self) -> None:
        """Make no folders: rows live in memory and in their changelog."""


def make_app(kafka: KafkaSettings, web: WebSettings) -> App:
    """Return the app of a worker; it holds no topics, tables and pages yet."""
    return App(
        kafka.group,
        TableManager=_Tables,
        broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=kafka.partitions,
        table_standby_replicas=0,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=kafka.session_timeout_seconds,
        broker_request_timeout=max(kafka.restore_timeout_seconds, 2 * kafka.session_timeout_seconds),
        worker_redirect_stdouts=False,
        autodiscover=False,
        web_enabled=web.enabled,
        web_bind=web.host,
        web_host=web.host,
        web_port=web.port,
        web_tables_enabled=False,
        web_router_enabled=False,
        web_stats_enabled=False,
        web_graph_enabled=False,
    )

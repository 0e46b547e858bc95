"""The worker's health, on Faust's own web server: /livez, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from faust.web import Request, Response, View

from streams.kafka.handover import Producer
from streams.ops.metrics.instruments import CONTENT_TYPE
from streams.ops.metrics.worker import Standing, State
from streams.runtimes.worker import Live
from streams.settings import WebSettings

_ANSWER_WITHIN_SECONDS = 1.0


def add_pages(live: Live, web: WebSettings) -> None:
    """Add /livez, /readyz and /metrics; `?verbose` says which models decide."""

    @live.app.page("/livez")  # type: ignore[untyped-decorator,unused-ignore]
    async def livez(view: View, request: Request) -> Response:
        """Answer 503 where there is work and none was committed for too long, though Kafka answers."""
        del request
        stalled = live.watchdog.stalled(web.stalled_seconds)
        return view.json({"alive": not stalled, "stalled": stalled}, status=503 if stalled else 200)

    @live.app.page("/readyz")  # type: ignore[untyped-decorator,unused-ignore]
    async def readyz(view: View, request: Request) -> Response:
        """Answer 503 until Kafka is reached, the group joined and the rows restored, and while draining."""
        checks = await readiness(live)
        body: dict[str, Any] = {"ready": all(checks.values()), **checks}
        restoring = live.groups.restoring
        if restoring is not None:
            body["restoring"] = restoring
        if "verbose" in request.query:
            body["models"] = dict(live.models)
            body["rows"] = len(live.rows)
            body["partitions"] = {runner.name: runner.open_records for runner in live.groups.runners}
        return view.json(body, status=200 if body["ready"] else 503)

    @live.app.page("/metrics")  # type: ignore[untyped-decorator,unused-ignore]
    async def metrics(view: View, request: Request) -> Response:
        """Answer with what was counted, as text for Prometheus."""
        del request
        return view.bytes(live.metrics.exposition(standing(live, web.stalled_seconds)), headers=CONTENT_TYPE)


def standing(live: Live, stalled_seconds: float) -> Standing:
    """Return how the worker stands."""
    groups = live.groups
    return Standing(
        state=_state(live),
        rows=len(live.rows),
        partitions=len({runner.number for runner in groups.runners}),
        open_records=sum(runner.open_records for runner in groups.runners),
        paused=len(groups.full()),
        stalled=len(live.watchdog.stalled(stalled_seconds)),
    )


def _state(live: Live) -> State:
    groups = live.groups
    if groups.draining:
        return "draining"
    if groups.restored:
        return "working"
    return "restoring" if groups.joined else "starting"


async def readiness(live: Live) -> Mapping[str, bool]:
    """Return what a worker needs to be ready, and whether it has it."""
    producer = cast("Producer", live.app.producer)
    return {
        "kafka_reached": await producer.is_answered(_ANSWER_WITHIN_SECONDS),
        "group_joined": live.groups.joined,
        "rows_restored": live.groups.restored,
        "not_draining": not live.groups.draining,
    }

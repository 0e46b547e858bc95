"""The worker's health, on Faust's own web server: /livez and /readyz."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from faust.web import Request, Response, View

from streams.kafka.handover import Producer
from streams.runtimes.worker import Live
from streams.settings import WebSettings

_ANSWER_WITHIN_SECONDS = 1.0


def add_pages(live: Live, web: WebSettings) -> None:
    """Add /livez and /readyz; `?verbose` says which models decide."""

    @live.app.page("/livez")  # type: ignore[untyped-decorator,unused-ignore]
    async def livez(view: View, request: Request) -> Response:
        """Answer 503 where records of a partition have waited without progress for too long."""
        del request
        stalled = stalled_partitions(live, web.stalled_seconds)
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
            body["partitions"] = {
                f"{runner.group.name}-{runner.number}": runner.open_records for runner in live.groups.runners
            }
        return view.json(body, status=200 if body["ready"] else 503)


def stalled_partitions(live: Live, limit_seconds: float) -> Mapping[str, float]:
    """Return {partition: seconds} for those where records wait and none was committed for so long.

    Where the consumer has not come by for records for so long, `poll` is among them.
    """
    now = time.monotonic()
    unpolled = now - live.groups.polled_at_seconds
    poll = {"poll": round(unpolled, 1)} if live.groups.restored and unpolled > limit_seconds else {}
    return poll | {
        f"{runner.group.name}-{runner.number}": round(now - runner.progressed_at_seconds, 1)
        for runner in live.groups.runners
        if runner.open_records and now - runner.progressed_at_seconds > limit_seconds
    }


async def readiness(live: Live) -> Mapping[str, bool]:
    """Return what a worker needs to be ready, and whether it has it."""
    producer = cast("Producer", live.app.producer)
    return {
        "kafka_reached": await producer.is_answered(_ANSWER_WITHIN_SECONDS),
        "group_joined": live.groups.joined,
        "rows_restored": live.groups.restored,
        "not_draining": not live.groups.draining,
    }

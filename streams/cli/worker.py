"""`scenestream worker`: the pipeline live, on Kafka."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from streams.cli.configured import load_settings
from streams.cli.listening import check_free
from streams.cli.wiring import open_scorer
from streams.logs import configure

Port = Annotated[
    int | None, typer.Option("--port", min=1, max=65535, help="Of /livez, /readyz and /metrics; 6066 by default.")
]
Instance = Annotated[
    str | None, typer.Option("--instance", help="Static membership: the same name before and after a restart.")
]


def worker(port: Port = None, instance: Instance = None) -> None:
    """Join Kafka and judge scenes as they come, until told to stop.

    Make the topics first: `scenestream topics create`. SIGTERM or Ctrl-C finishes the batch in hand, commits it, leaves
    the group and exits 0.

    Exit codes otherwise: 2 for what a person must put right; start it again after 3 (a batch failed, or another worker
    has its partitions), 4 (told to stop and too slow), 5 (a model did not answer in time; see scenes.suspect) and 6 (it
    has work, reaches Kafka and commits nothing).
    """
    settings = load_settings()
    if "log_level" not in settings.model_fields_set:
        # A service that says nothing until it fails cannot be told from one that hangs.
        configure("info", settings.log_format)
    web = settings.web if port is None else settings.web.model_copy(update={"port": port})
    if web.enabled:
        check_free(web.host, web.port, "give each worker of a machine its own --port")
    kafka = settings.kafka if instance is None else settings.kafka.model_copy(update={"instance_id": instance})
    with ThreadPoolExecutor(1) as beside:
        opening = beside.submit(open_scorer, settings)
        # Partitions are silent until both are there.
        from streams.runtimes.worker_run import run  # noqa: PLC0415 - Faust is loaded while the models are opened

        scorer = opening.result()
    run(settings.model_copy(update={"web": web, "kafka": kafka}), scorer, dict(scorer.describe()))

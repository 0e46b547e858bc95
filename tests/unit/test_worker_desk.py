from __future__ import annotations

import asyncio
import threading
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import cast

import numpy as np
import pytest
from builders import DIMENSIONS, policy, scene
from contract.fake_scorer import FakeScorer
from test_partition_runner import Record

from schemas.scene import Scene
from schemas.vector import Vector
from streams.kafka.records import HandlerError, Outgoing, Received
from streams.kafka.suspects import Hung
from streams.kafka.wire import encode
from streams.runtimes.placing import Placing
from streams.runtimes.rehearsal import rehearse
from streams.runtimes.worker_desk import Desk
from streams.runtimes.worker_models import ModelThread
from streams.runtimes.worker_rows import TableRows
from streams.scoring.port import Encoded
from streams.stages.admit import Refusal
from streams.topology import Stage


def bury(record: Received, stage: Stage, error: Refusal | Exception) -> Outgoing:
    raise AssertionError((record, stage, error))


def received(*scenes: Scene) -> list[Received]:
    messages = [encode(one, at=datetime.now(UTC)) for one in scenes]
    return cast("list[Received]", [Record("scenes", n, one.value, one.key) for n, one in enumerate(messages)])


@pytest.mark.parametrize("error", [None, HandlerError, Hung])
def test_a_rehearsal_asks_the_models_and_never_blames_a_record(error: type[Exception] | None) -> None:
    scorer = FakeScorer()
    encoder, models = ModelThread("encoder", 8, 0.0), ModelThread("models", 8, 0.0, deadline_seconds=0.0)
    if error is not Hung:
        models = ModelThread("models", 8, 0.0)
    if error is HandlerError:
        scorer.fails_on = "I am here, and I am listening."
    desk = Desk(scorer, encoder, models, policy(), TableRows("sensitivity"), str, "stamp", bury, 2**20, Placing(4))

    async def run() -> None:
        with nullcontext() if error is None else pytest.raises(error):
            await rehearse(desk)
        encoder.close()
        models.close()

    asyncio.run(run())
    if error is None:
        assert scorer.batches == {"encode": [1], "read": [1]}


def test_only_scenes_with_texts_go_to_the_encoders_thread() -> None:
    scorer = FakeScorer()
    encoder, models = ModelThread("encoder", 8, 0.0), ModelThread("models", 8, 0.0)
    rows = TableRows("sensitivity")
    desk = Desk(scorer, encoder, models, policy(), rows, str, "stamp", bury, 2**20, Placing(4))
    bare = scene(draft=None, embedding=Vector.pack(np.ones(DIMENSIONS, np.float32)), context=())

    async def read(*scenes: Scene) -> set[str]:
        scorer.threads.clear()
        found = await desk.read_scenes(received(*scenes))
        assert [one.scene for one in found if isinstance(one, Encoded)] == [*scenes]
        return scorer.threads["encode"]

    async def run() -> None:
        assert await read(bare) == {threading.current_thread().name}
        assert await read(bare, scene(turn=2)) == {"encoder_0"}
        encoder.close()
        models.close()

    asyncio.run(run())

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import cast

import numpy as np
from builders import DIMENSIONS, policy, scene
from contract.fake_scorer import FakeScorer
from test_partition_runner import Record

from schemas.scene import Scene
from schemas.vector import Vector
from streams.kafka.records import Outgoing, Received
from streams.kafka.wire import encode
from streams.runtimes.placing import Placing
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

"""One run: a fault, a seed, a pipeline of its own on a broker that may be killed; and what came of it."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from streams.settings import Settings
from streams.stages.policy import Gate
from tests.broker.live import Pipeline
from tests.chaos.acts import Scenery
from tests.chaos.audience import Audience
from tests.chaos.cluster import Cluster
from tests.chaos.crew import Crew, Ended
from tests.chaos.faults import Fault
from tests.chaos.judge import Findings, judge, met_in
from tests.chaos.load import make_load
from tests.chaos.records import DEAD, HOPS, READ, without_repeats
from tests.chaos.silence import longest_silences

# In `strict` the ledger's promise holds at every moment, so that every row can be held against it.
POLICY = Settings(gate=Gate(mode="strict")).policy()
_MAY_STILL_COME_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is sent: scenes and how long that takes, users who wait for each answer; and how long is waited.

    Whatever does not come within `quiet_seconds` of silence is lost.
    """

    scenes: int = 1600
    seconds: float = 8.0
    patient_users: int = 20
    quiet_seconds: float = 90.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run; `troubles` are what makes it worth nothing, `silences` seconds for each partition."""

    fault: str
    seed: int
    findings: Findings
    troubles: tuple[str, ...]
    silences: tuple[float, ...]
    scenes: int
    healed: int
    labels: int
    dead: int
    ended: tuple[Ended, ...]
    seconds: float

    @property
    def clean(self) -> bool:
        return self.findings.clean and not self.troubles


async def run(
    fault: Fault, seed: int, size: Size, cluster: Cluster, folder: Path, *, drop_repeats: bool = False, **settings: str
) -> Outcome:
    """Do a fault to a new pipeline of the cluster; `folder` is left with the workers' logs.

    With `drop_repeats` it is judged by what is left for whoever drops what comes again under the same id.
    """
    began = time.monotonic()
    rng = random.Random(f"{fault.name} {seed}")
    load = make_load(seed, size.scenes, size.patient_users, fault.culprits)
    pipeline = Pipeline(cluster.broker.bootstrap, folder, gate__mode="strict", **settings)
    await pipeline.make_topics()
    troubles: list[str] = []
    async with AsyncExitStack() as stack:
        proxies = await stack.enter_async_context(cluster.proxies()) if fault.through_proxies else {}
        wounds = fault.wounded(rng, folder)

        def environment_of(name: str) -> dict[str, str]:
            address = cluster.proxied(name) if fault.through_proxies else cluster.broker.bootstrap
            return {"SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS": address, **fault.models, **wounds.get(name, {})}

        crew = Crew(pipeline, environment_of)
        producer = await stack.enter_async_context(pipeline.producer())
        audience = Audience(pipeline, load, producer)
        await stack.enter_async_context(crew.on_duty())
        for name in fault.workers:
            crew.start(name)
        await crew.until_ready()
        scenery = Scenery(crew, cluster.broker, proxies, audience, rng, folder)
        troubles += await _play(scenery, fault, size)
        troubles += await _send_home(crew, fault)
    log = await pipeline.read_all(READ)
    await pipeline.drop_topics()
    met = audience.met
    if drop_repeats:
        log = without_repeats(log)
        kept = met_in(log)
        met = [place for place in met if place in kept]
    silences = longest_silences(audience.answers, scenery.struck_at or began)
    return Outcome(
        fault=fault.name,
        seed=seed,
        findings=judge(log, met, load, POLICY),
        troubles=tuple(troubles),
        silences=tuple(round(seconds, 3) for seconds in silences.values()),
        scenes=len(load.owed),
        healed=sum(len(log[name]) for name in HOPS),
        labels=len(log["feedback"]),
        dead=sum(len(log[name]) for name in DEAD),
        ended=tuple(crew.ended),
        seconds=round(time.monotonic() - began, 1),
    )


async def _play(scenery: Scenery, fault: Fault, size: Size) -> list[str]:
    """Send, do the fault and wait until all is settled; return what kept it from being done."""
    listening = asyncio.create_task(scenery.audience.listen())
    working = asyncio.create_task(_work(scenery, fault, size))
    await asyncio.wait({listening, working}, return_when=asyncio.FIRST_COMPLETED)
    for task in (working, listening):
        task.cancel()
    said = await asyncio.gather(working, listening, return_exceptions=True)
    return [f"the run itself failed: {one!r}" for one in said if isinstance(one, Exception)]


async def _work(scenery: Scenery, fault: Fault, size: Size) -> None:
    acting = asyncio.ensure_future(fault.act(scenery))
    await asyncio.gather(scenery.audience.send(size.seconds, acting), acting)
    # Whatever is lost, nothing comes any more; and what is not may still come twice.
    await scenery.audience.has_heard_all(size.quiet_seconds)
    await asyncio.sleep(_MAY_STILL_COME_SECONDS)


async def _send_home(crew: Crew, fault: Fault) -> list[str]:
    """Let all workers drain; return what they did that they should not."""
    ends = len(crew.ended)
    if ends < fault.least_ends:
        return [f"{fault.least_ends} workers were to end, {ends} did: the fault did not strike"]
    if fault.calm and ends:
        return [f"nobody was to end, and {one.name} did with {one.code}" for one in crew.ended]
    try:
        await crew.until_ready()
        codes = {name: await crew.dismiss(name) for name in crew.names}
    except AssertionError as error:
        return [f"the workers do not come back: {error}"]
    return [f"{name} was told to stop and ended with {code}" for name, code in codes.items() if code]

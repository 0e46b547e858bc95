"""A real Apache Kafka for tests and for a person: one that is running, else a container, else Java with jars by Maven.

`python -m tests.broker.kafka_server` (`make kafka`) starts one and says where it listens; Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

VERSION = "4.1.1"
IMAGE = f"apache/kafka:{VERSION}"
POM = Path(__file__).with_name("pom.xml")
GIVEN = "KAFKA_BOOTSTRAP_SERVERS"
_HOST = "127.0.0.1"
_DEFAULT_PORT = 9092
_UP_WITHIN_SECONDS = 90.0
_DOWN_WITHIN_SECONDS = 30.0


class BrokerError(Exception):
    """A broker that cannot be had, or does not come up; the message says why."""


class Broker(Protocol):
    """A broker at `bootstrap`; `kill` is kill -9, and what is stopped or killed starts again with its data."""

    bootstrap: str

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


def restart(broker: Broker) -> None:
    broker.stop()
    broker.start()


class GivenBroker:
    """A broker that somebody else runs: it is neither started nor ended."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def start(self) -> None:
        wait_until_up(self.bootstrap)

    def stop(self) -> None:
        raise BrokerError(f"the broker of {GIVEN} is not ours to stop")

    def kill(self) -> None:
        raise BrokerError(f"the broker of {GIVEN} is not ours to kill")

    def close(self) -> None:
        pass


class JavaBroker:
    """Kafka in KRaft mode as a child process; its data is in `folder`, which the caller clears away.

    `extra` are properties in place of those of a plain broker, or on top; brokers of one cluster have one `cluster` id.
    """

    def __init__(
        self,
        folder: Path,
        jars: Path,
        port: int,
        *,
        heap_mb: int = 384,
        extra: Mapping[str, str] | None = None,
        cluster: str | None = None,
    ) -> None:
        self.bootstrap = f"{_HOST}:{port}"
        self._folder = folder
        self._java = ["java", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        self._properties = folder / "server.properties"
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None
        settings = {**properties(_HOST, port, free_port()), "log.dirs": str(folder / "data"), **(extra or {})}
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        cluster = cluster or uuid.uuid4().hex[:22]
        self._run_tool("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties))

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        if asyncio.run(_answers(self.bootstrap)):
            raise BrokerError(f"somebody else's Kafka answers at {self.bootstrap}; choose another port")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._properties)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        wait_until_up(self.bootstrap, self._check_alive)
        self._check_alive()

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def close(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_DOWN_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _check_alive(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            last = self._log.read_text(errors="replace")[-2000:]
            raise BrokerError(f"Kafka ended with {self._process.returncode} while it started:\n{last}")

    def _run_tool(self, *arguments: str) -> None:
        done = subprocess.run([*self._java, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BrokerError(f"{arguments[0]} failed:\n{done.stdout}{done.stderr}")


class DockerBroker:
    """Kafka's own image in a container that is removed in the end."""

    def __init__(self, port: int, *, heap_mb: int = 384) -> None:
        self.bootstrap = f"{_HOST}:{port}"
        self._name = f"scenestream-kafka-{uuid.uuid4().hex[:12]}"
        given = {**properties("0.0.0.0", port, 29093), "advertised.listeners": f"PLAINTEXT://{self.bootstrap}"}  # noqa: S104 - within the container
        variables = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in given.items()}
        variables["KAFKA_HEAP_OPTS"] = f"-Xmx{heap_mb}m"
        passed = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
        _docker("create", "--name", self._name, "--publish", f"{_HOST}:{port}:{port}", *passed, IMAGE)

    def start(self) -> None:
        _docker("start", self._name)
        wait_until_up(self.bootstrap)

    def stop(self) -> None:
        _docker("stop", self._name)

    def kill(self) -> None:
        _docker("kill", self._name)

    def close(self) -> None:
        _docker("rm", "--force", "--volumes", self._name)


def find_broker(folder: Path, port: int | None = None, environment: Mapping[str, str] = os.environ) -> Broker:
    """Return a broker that is not started yet; raises BrokerError where none can be had."""
    given = environment.get(GIVEN)
    return GivenBroker(given) if given else own_broker(folder, port)


def own_broker(folder: Path, port: int | None = None) -> Broker:
    """Return a broker that may be stopped and killed; its data goes with `folder`."""
    port = free_port() if port is None else port
    if shutil.which("docker") and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return DockerBroker(port)
    missing = _missing_programs()
    if missing:
        raise BrokerError(
            f"no Kafka: {GIVEN} is not set, no Docker engine answers, and {missing} cannot be found; "
            "set it, start Docker, or install Java 17 and Maven"
        )
    return JavaBroker(folder, jars_of_kafka(), port)


def java_jars() -> Path:
    """Return the folder of Kafka's jars for a broker that must be a child process; raises where there can be none."""
    missing = _missing_programs()
    if missing:
        raise BrokerError(f"this needs a Kafka of its own, and {missing} cannot be found; install Java 17 and Maven")
    return jars_of_kafka()


def _missing_programs() -> str:
    return " and ".join(program for program in ("java", "mvn") if shutil.which(program) is None)


def jars_of_kafka() -> Path:
    """Return the folder of Kafka's jars, which Maven fetches at first use (45 MB)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "scenestream"
    folder = cache / f"kafka-{VERSION}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    fetched = Path(tempfile.mkdtemp(prefix="kafka-jars-", dir=cache))
    maven = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    try:
        done = subprocess.run([*maven, f"-DoutputDirectory={fetched}"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BrokerError(f"Maven could not fetch Kafka {VERSION}:\n{done.stdout[-2000:]}")
        if not folder.is_dir():
            fetched.rename(folder)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    return folder


def properties(host: str, port: int, controller_port: int) -> dict[str, str]:
    """Return the settings of one node that is broker and controller, quick to start and to rebalance."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@localhost:{controller_port}",
        "listeners": f"PLAINTEXT://{host}:{port},CONTROLLER://{_HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{host}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def wait_until_up(bootstrap: str, check: Callable[[], None] = lambda: None) -> None:
    """Return when the broker answers; `check` may raise earlier, where there is nothing to wait for."""
    deadline = time.monotonic() + _UP_WITHIN_SECONDS
    while not asyncio.run(_answers(bootstrap)):
        check()
        if time.monotonic() > deadline:
            raise BrokerError(f"no Kafka answers at {bootstrap} within {_UP_WITHIN_SECONDS:.0f} s")
        time.sleep(0.2)


async def _answers(bootstrap: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(*bootstrap.split(",", maxsplit=1)[0].rsplit(":", 1))
        writer.close()
        await writer.wait_closed()
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
        finally:
            await admin.close()
    except (OSError, KafkaError):
        return False


def _docker(*arguments: str) -> None:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokerError(f"docker {arguments[0]} failed: {done.stderr.strip()}")


def _check_free(port: int) -> None:
    with suppress(OSError), socket.create_connection((_HOST, port), 2.0):
        raise BrokerError(f"something listens at {_HOST}:{port} already; choose another port: make kafka PORT=9192")


def _serve(port: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="scenestream-kafka-"))
    broker: Broker | None = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _check_free(port)
        broker = own_broker(folder, port)
        broker.start()
        print(f"Kafka {VERSION} at {broker.bootstrap}; Ctrl-C ends it", flush=True)  # noqa: T201 - for a person
        if port != _DEFAULT_PORT:
            told = f"for others: export SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS={broker.bootstrap}"
            print(told, flush=True)  # noqa: T201 - as above
        signal.pause()
    except BrokerError as error:
        sys.exit(f"kafka: {error}")
    except KeyboardInterrupt:
        pass
    finally:
        if broker is not None:
            broker.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Start a Kafka broker on this machine.")
    parser.add_argument("--port", type=int, default=_DEFAULT_PORT)
    _serve(parser.parse_args().port)

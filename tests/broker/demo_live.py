"""`make demo-live`: a broker, topics, a dashboard, a worker, and the example logs through them; all ended in the end.

In a terminal the dashboard stays until Ctrl-C; where nobody watches (CI is set, or no terminal) it ends at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kafka_server import BrokerError, find_broker, free_port

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("scenestream"))
LOGS = ("evenings.jsonl", "night_shift.jsonl.gz", "scenes.jsonl", "sceny_ru.jsonl")
_READY_WITHIN_SECONDS = 120.0


@contextmanager
def worker(environment: Mapping[str, str], log: Path, command: tuple[str, ...] = ("worker",)) -> Iterator[None]:
    """Run a worker that is ready; it drains in the end."""
    with log.open("ab") as said:
        process = subprocess.Popen([PROGRAM, *command], env=environment, stdout=said, stderr=said, cwd=ROOT)
    try:
        _wait_until_ready(f"http://127.0.0.1:{environment['SCENESTREAM_WEB__PORT']}/readyz", process, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    if code:
        raise BrokerError(f"the worker ended with {code}:\n{log.read_text(errors='replace')[-2000:]}")


def run(environment: Mapping[str, str], *command: str) -> None:
    subprocess.run([PROGRAM, *command], env=environment, cwd=ROOT, check=True)


def environment_of(bootstrap: str) -> dict[str, str]:
    given = {
        "SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "SCENESTREAM_WEB__PORT": str(free_port()),
        "SCENESTREAM_OPS__LOGS_FOLDER": "examples",
    }
    return {**os.environ, **given}


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310 - our own worker
                return
        except OSError:
            time.sleep(0.3)
    raise BrokerError(f"the worker is not ready at {address}:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def dashboard(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """Run a dashboard, and yield its address."""
    with log.open("ab") as said:
        process = subprocess.Popen(
            [PROGRAM, "dashboard", "--port", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd=ROOT,
            text=True,
        )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("dashboard: ").strip()
        if not address:
            raise BrokerError(f"the dashboard did not start:\n{log.read_text(errors='replace')[-2000:]}")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def ask(address: str) -> None:
    """Raise BrokerError where no page is at an address that a person is told to open."""
    try:
        with urllib.request.urlopen(address, timeout=30):  # noqa: S310 - our own dashboard
            return
    except OSError as error:
        raise BrokerError(f"the dashboard does not answer at {address}: {error}") from error


def watched() -> bool:
    """Return whether a person is there to look."""
    return sys.stdout.isatty() and sys.stdin.isatty() and not os.environ.get("CI")


@contextmanager
def topics_made() -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield a folder, and the environment in which commands find a broker with the pipeline's topics."""
    with tempfile.TemporaryDirectory(prefix="scenestream-live-") as name:
        broker = find_broker(Path(name))
        try:
            broker.start()
            environment = environment_of(broker.bootstrap)
            print(f"Kafka at {broker.bootstrap}", flush=True)  # noqa: T201 - for a person
            run(environment, "topics", "create")
            yield Path(name), environment
        finally:
            broker.close()


def main(out: str) -> None:
    with (
        topics_made() as (folder, environment),
        dashboard(environment, folder / "dashboard.log") as address,
        worker(environment, folder / "worker.log"),
    ):
        print(f"a worker at http://127.0.0.1:{environment['SCENESTREAM_WEB__PORT']}/readyz", flush=True)  # noqa: T201
        run(environment, "replay", *(f"examples/{log}" for log in LOGS), "--target", "kafka", "--out", out)
        ask(address)
        print(f"dashboard: {address}", flush=True)  # noqa: T201
        if watched():
            print("It is all running still: open the dashboard. Ctrl-C ends it.", flush=True)  # noqa: T201
            with suppress(KeyboardInterrupt):
                signal.pause()


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "runs/demo-live")
    except BrokerError as error:
        sys.exit(f"demo-live: {error}")
    except subprocess.CalledProcessError as error:
        # The command has said why.
        sys.exit(error.returncode)
    except KeyboardInterrupt:
        sys.exit(130)

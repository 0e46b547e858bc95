"""Prometheus and promtool for tests; without them tests are skipped loudly, and with CI=true they fail."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIGURATION = ROOT / "deploy" / "prometheus"
BOARDS = ROOT / "deploy" / "grafana" / "dashboards"


def program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`."""
    found = shutil.which(name)
    if found is None:
        missing = f"{name} cannot be found: apt-get install prometheus, or take it from prometheus.io"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI runs the tests of rules and metrics: {missing}")
        pytest.skip(f"NO {name.upper()}, NOT TESTED: {missing}")
    return found


def promtool(*arguments: str, given: bytes | None = None) -> str:
    """Return what promtool says; fails the test where it finds fault."""
    done = subprocess.run([program("promtool"), *arguments], input=given, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


class Prometheus:
    """A Prometheus of its own on loopback, with the project's configuration and other targets; ended on exit."""

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        self._folder = folder
        self._port = _free_port()
        config = yaml.safe_load((CONFIGURATION / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(CONFIGURATION / pattern) for pattern in config["rule_files"]]
        jobs = {job["job_name"] for job in config["scrape_configs"]}
        assert set(targets) <= jobs, "a job that the configuration does not have"
        config["scrape_configs"] = [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ]
        self._config = folder / "prometheus.yml"
        self._config.write_text(yaml.safe_dump(config))
        self._log = folder / "prometheus.log"

    def __enter__(self) -> Self:
        command = [
            program("prometheus"),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self._folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
        """Return what the API answers; fails the test where it refuses a query."""
        address = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[Any]:
        """Return the series that an expression gives now."""
        result: list[Any] = self.get("query", query=expression)["result"]
        return result

    def until(self, expression: str, within_seconds: float = 40.0) -> list[Any]:
        """Return what an expression gives as soon as it gives something."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            try:
                found = self.query(expression)
            except OSError:
                found = []
            if found:
                return found
            time.sleep(0.2)
        raise AssertionError(f"{expression} gives nothing within {within_seconds} s")


def expressions() -> dict[str, str]:
    """Return {where it stands: PromQL} of every rule and panel, a board's variables filled in."""
    found = {}
    for path in (CONFIGURATION / "rules").glob("*.yml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                found[rule.get("record") or rule["alert"]] = rule["expr"]
    for path in BOARDS.glob("*.json"):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                found[f"{board['uid']}: {panel['title']} {target['refId']}"] = _filled(target["expr"])
        for one in board["templating"]["list"]:
            if one["type"] == "query":
                found[f"{board['uid']}: ${one['name']}"] = _filled(_asked_for(one["query"]["query"]))
    return found


def names(expression: str) -> set[str]:
    """Return the metrics that an expression reads; those with colons are recorded by rules."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    words = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare))
    return {word for word in words if ":" in word or word.startswith(("scenestream_", "kafka_", "process_", "python_"))}


def _filled(expression: str) -> str:
    filled = expression.replace("$__rate_interval", "1m").replace("$__range", "5m")
    return re.sub(r"\$(cluster|group|topic|instance)\b", ".*", filled)


def _asked_for(variable: str) -> str:
    return variable.removeprefix("label_values(").rsplit(",", 1)[0]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

"""What docker-compose.yml runs, run without an engine: its commands, its health checks, and a bot against them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import demo_live
import pytest
import yaml
from kafka_server import IMAGE, Broker, free_port, properties
from prometheus_programs import program

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DEPLOY = ROOT / "deploy"
# One that says nothing, one that is longer than a draft may be, and one that is right.
ODD = {"empty": "  ", "endless": "word " * 20_000, "right": "Not before the evening."}
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


def test_the_pipeline_of_the_compose_file_runs(own: Broker, tmp_path: Path) -> None:
    environment = demo_live.environment_of(own.bootstrap)
    port = environment["SCENESTREAM_WEB__PORT"]
    demo_live.run(environment, *SERVICES["topics"]["command"])
    with demo_live.worker(environment, tmp_path / "worker.log", tuple(SERVICES["worker"]["command"])):
        _is_healthy("worker", 6066, port)
        # Which models decide is told without being asked for.
        [starts] = [line for line in (tmp_path / "worker.log").read_text().splitlines() if "worker_starts" in line]
        assert re.search(r"encoder.{,9}\b[0-9a-f]{64}\b", starts)
        bot = [sys.executable, "examples/bot.py"]
        said = subprocess.run(bot, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60)
        assert len(said.stdout.splitlines()) == 8
        assert "says     " in said.stdout
        assert "rewrites (words for: " in said.stdout or "is quiet instead" in said.stdout
        # What cannot be judged is an outcome as well.
        lines = [{"id": name, "context": ["Does it rain?"], "draft": draft} for name, draft in ODD.items()]
        (tmp_path / "odd.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        odd = [*bot, str(tmp_path / "odd.jsonl")]
        said = subprocess.run(odd, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60)
        assert (
            sorted(line.split("'")[0] for line in said.stdout.splitlines() if "cannot" in line) == ["cannot say "] * 2
        )
        assert len(said.stdout.splitlines()) == 3

        log = "examples/scenes.jsonl"
        for target in ("kafka", "embedded"):
            demo_live.run(
                environment, "replay", log, "--target", target, "--out", str(tmp_path / target), "--no-progress"
            )
        for name in ("decisions.jsonl", "dead.jsonl", "texts.jsonl", "sensitivity.jsonl"):
            assert (tmp_path / "kafka" / name).read_bytes() == (tmp_path / "embedded" / name).read_bytes()
        digests = [json.loads((tmp_path / one / "summary.json").read_text())["digest"] for one in ("kafka", "embedded")]
        assert digests[0] == digests[1]

        liked = [demo_live.PROGRAM, "feedback", "harbour-light", "0", "--user", "mirela", "--register", "bodily"]
        told = subprocess.run(liked, env=environment, capture_output=True, text=True, check=True, timeout=60)
        assert told.stdout.startswith("told: ")
        # That rows are there is a warning for who replays, and what feedback is for.
        assert told.stderr == ""
        lost = subprocess.run(
            [*liked[:2], "nobody", "3", "--accepted"], check=False, env=environment, capture_output=True, text=True
        )
        assert lost.returncode == 1
        assert "unknown_scene" in lost.stderr
        _the_dashboard_sees_the_worker(environment, tmp_path / "dashboard.log")


def _the_dashboard_sees_the_worker(environment: Mapping[str, str], log: Path) -> None:
    """Start it as the compose file does, and ask it by the name that Prometheus uses."""
    port = str(free_port())
    given = {
        name: value for name, value in SERVICES["dashboard"]["environment"].items() if value and "KAFKA" not in name
    }
    own = {**environment, **given, "SCENESTREAM_DASHBOARD__PORT": port}
    with log.open("ab") as said:
        process = subprocess.Popen(
            [demo_live.PROGRAM, *SERVICES["dashboard"]["command"]], env=own, stdout=said, stderr=said, cwd=ROOT
        )
    try:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Host": "dashboard:8088"})
        wanted = 'kafka_consumergroup_group_sum_lag{cluster_name="local",group="scenestream"} 0.0'
        deadline, found = time.monotonic() + 60, ""
        while wanted not in found:
            assert time.monotonic() < deadline, f"{found}\n{log.read_text()}"
            assert process.poll() is None, log.read_text()
            time.sleep(0.3)
            with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310 - our own
                found = answer.read().decode()
        _is_healthy("dashboard", 8088, port)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()


def _is_healthy(service: str, port: int, instead: str) -> None:
    """Run the service's own health check, at another port."""
    first, *arguments = SERVICES[service]["healthcheck"]["test"][1:]
    assert first == "python"
    asked = [argument.replace(f":{port}/", f":{instead}/") for argument in arguments]
    subprocess.run([sys.executable, *asked], check=True, timeout=10)


def test_the_compose_file_is_valid() -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI validates docker-compose.yml, and there is no docker-compose")
        pytest.skip("NO docker-compose, NOT VALIDATED")
    checked = [compose, "--file", str(COMPOSE), "--profile", "gpu", "config", "--quiet"]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_images_are_pinned_and_the_same_as_the_tests() -> None:
    assert SERVICES["kafka"]["image"] == IMAGE
    images = [service["image"] for service in SERVICES.values()]
    assert all(re.search(r":v?\d+\.\d+\.\d+", image) for image in images)
    assert re.search(r"^ARG PYTHON=3\.11\.\d+-", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_the_broker_of_the_compose_file_is_set_as_that_of_the_tests() -> None:
    given = SERVICES["kafka"]["environment"]
    for name, value in properties("x", 1, 2).items():
        variable = f"KAFKA_{name.upper().replace('.', '_')}"
        if variable in given and not re.search("LISTENER|VOTERS", variable):
            assert given[variable] == value, name


def test_the_gpu_worker_is_the_worker_elsewhere() -> None:
    cpu, gpu = SERVICES["worker"], SERVICES["worker-gpu"]
    assert cpu["command"] == gpu["command"]
    assert gpu["profiles"] == ["gpu"]
    assert gpu["environment"] == {**cpu["environment"], "SCENESTREAM_MODELS__PROVIDER": "cuda"}


def test_every_service_is_reached_from_this_machine_alone_and_looked_after() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert ("healthcheck" in service) != (name == "topics")
        assert service["restart"]


def test_what_is_mounted_is_there_and_lies_where_it_is_looked_for() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    targets = {job["job_name"]: job for job in config["scrape_configs"]}
    assert targets["scenestream-dashboard"]["static_configs"] == [{"targets": ["dashboard:8088"]}]
    [found] = targets["scenestream-worker"]["dns_sd_configs"]
    assert (found["names"], found["port"]) == (["worker"], 6066)
    assert SERVICES["worker-gpu"]["networks"]["default"]["aliases"] == ["worker"]
    mounted = {
        where: ROOT / here
        for service in ("prometheus", "grafana")
        for here, where, *_ in (volume.split(":") for volume in SERVICES[service]["volumes"])
        if here.startswith("./")
    }
    assert all(path.is_dir() for path in mounted.values())
    [given] = [one for one in SERVICES["prometheus"]["command"] if one.startswith("--config.file=")]
    assert (mounted["/etc/prometheus"] / given.removeprefix("--config.file=/etc/prometheus/")).is_file()
    for name in config["rule_files"]:
        assert list(mounted["/etc/prometheus"].glob(name))
    boards = yaml.safe_load((mounted["/etc/grafana/provisioning"] / "dashboards" / "scenestream.yml").read_text())
    shown = mounted[boards["providers"][0]["options"]["path"]]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (shown / home.name).is_file()


def test_prometheus_knows_the_options_it_is_given() -> None:
    known = subprocess.run([program("prometheus"), "--help"], capture_output=True, text=True, check=False)
    for option in SERVICES["prometheus"]["command"]:
        assert option.split("=")[0] in known.stdout + known.stderr


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|TOKEN|SECRET", name) or value is None
    grafana = SERVICES["grafana"]["environment"]
    assert grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true", "else it is admin with the password admin"


def test_the_image_installs_hashed_requirements_and_runs_without_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert any("--require-hashes" in line for line in lines)
    final = lines[len(lines) - lines[::-1].index(next(line for line in lines[::-1] if line.startswith("FROM"))) - 1 :]
    assert "USER scenestream" in final
    for name in ("build", "run", "gpu"):
        pinned = (ROOT / "requirements" / f"{name}.txt").read_text()
        assert len(re.findall(r"^[a-z0-9\[\],.-]+==", pinned, re.MULTILINE)) == len(
            re.findall(r"^[a-z]", pinned, re.MULTILINE)
        )

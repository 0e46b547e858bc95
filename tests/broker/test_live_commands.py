"""What docker-compose.yml runs, run without an engine: its commands, its health checks, and a bot against them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import demo_live
import pytest
import yaml
from kafka_server import IMAGE, Broker, properties

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


def test_the_pipeline_of_the_compose_file_runs(own: Broker, tmp_path: Path) -> None:
    environment = demo_live.environment_of(own.bootstrap)
    port = environment["SCENESTREAM_WEB__PORT"]
    demo_live.run(environment, *SERVICES["topics"]["command"])
    with demo_live.worker(environment, tmp_path / "worker.log", tuple(SERVICES["worker"]["command"])):
        program, *arguments = SERVICES["worker"]["healthcheck"]["test"][1:]
        assert program == "python"
        asked = [argument.replace(":6066/", f":{port}/") for argument in arguments]
        subprocess.run([sys.executable, *asked], check=True, timeout=10)

        bot = [sys.executable, "examples/bot.py"]
        said = subprocess.run(bot, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60)
        assert len(said.stdout.splitlines()) == 8
        assert "says     " in said.stdout
        assert "rewrites (words for: " in said.stdout or "is quiet instead" in said.stdout

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
        lost = subprocess.run(
            [*liked[:2], "nobody", "3", "--accepted"], check=False, env=environment, capture_output=True, text=True
        )
        assert lost.returncode == 1
        assert "unknown_scene" in lost.stderr


def test_the_compose_file_is_valid() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI validates docker-compose.yml, and there is no docker-compose")
        pytest.skip("NO docker-compose, NOT VALIDATED")
    checked = [program, "--file", str(COMPOSE), "--profile", "gpu", "config", "--quiet"]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_images_are_pinned_and_the_same_as_the_tests() -> None:
    assert SERVICES["kafka"]["image"] == IMAGE
    images = [service["image"] for service in SERVICES.values()]
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in images)
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

"""Prometheus' configuration, rules and alerts: valid, tested case by case, and of use to a person at night."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from prometheus_programs import promtool

from streams.cli.app import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "prometheus"
RULES = sorted((DEPLOY / "rules").glob("*.yml"))
CASES = ROOT / "tests" / "prometheus" / "alerts.yml"


def rules(kind: str) -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from (rule for rule in group["rules"] if kind in rule)


ALERTS = list(rules("alert"))


def test_promtool_finds_no_fault_with_configuration_and_rules() -> None:
    promtool("check", "config", str(DEPLOY / "prometheus.yml"))
    promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))


def test_alerts_fire_where_they_should_and_only_there() -> None:
    promtool("test", "rules", str(CASES))


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    fires = set()
    for case in yaml.safe_load(CASES.read_text())["tests"]:
        for asked in case["promql_expr_test"]:
            for sample in asked["exp_samples"]:
                fires |= set(re.findall(r'alertname="(\w+)"', sample["labels"]))
    assert fires == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_an_alert_says_how_bad_it_is_what_it_means_and_what_to_do(alert: dict[str, Any]) -> None:
    told = alert["annotations"]
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert len(told["summary"]) < 120
    assert len(told["description"]) > 40
    assert told["runbook"].startswith("1. ")
    for command in re.findall(r"`scenestream ([a-z ]+[a-z])", told["runbook"]):
        assert _is_a_command(command.split()), f"scenestream {command} is no command"


def _is_a_command(words: list[str]) -> bool:
    known: Any = typer.main.get_command(app)
    for word in words:
        if word not in getattr(known, "commands", {}):
            return False
        known = known.commands[word]
    return True


def test_recorded_names_say_level_metric_and_operation() -> None:
    for rule in rules("record"):
        assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", rule["record"]), rule["record"]

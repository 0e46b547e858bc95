"""A broker that asks who one is, over TLS: every client of the pipeline is let in by settings alone."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from guarded import guarded_broker, make_certificate
from seeded_logs import log
from typer.testing import CliRunner

from streams.cli import dead, topics
from streams.cli.app import app
from streams.kafka.clients import BrokerAway
from streams.runtimes.remote import RemoteRuntime
from streams.settings import Settings

SECRET = "not-told-to-anyone"  # noqa: S105 - of a broker that lives for a test


# aiokafka does not wait for TLS's goodbye on a connection that was refused; where the broker says it later than the
# loop ends, the socket is garbage. It is collected here, or another test would be blamed for it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _unsaid_goodbyes() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A broker with a second listener, SASL over TLS; returns where that is."""
    if os.environ.get("CI") != "true" and shutil.which("keytool") is None:
        pytest.skip("NO JAVA, SECURITY NOT TESTED")
    broker, port = guarded_broker(tmp_path, {"mirela": SECRET})
    name = f"s{uuid.uuid4().hex[:8]}."
    for variable, value in {
        "KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
        "KAFKA__GROUP": name,
        "KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA__SASL_USERNAME": "mirela",
        "KAFKA__SASL_PASSWORD": SECRET,
        "KAFKA__SSL_CA_FILE": str(tmp_path / "ca.pem"),
        "WEB__ENABLED": "false",
    }.items():
        monkeypatch.setenv(f"SCENESTREAM_{variable}", value)
    broker.start()
    yield f"127.0.0.1:{port}"
    broker.close()


def test_every_client_is_let_in_by_settings(guarded: str, tmp_path: Path) -> None:
    assert CliRunner().invoke(topics.app, ["create"]).exit_code == 0
    said = (tmp_path / "worker.log").open("wb")
    program = [sys.executable, str(Path(__file__).with_name("fake_worker.py"))]
    with said, subprocess.Popen(program, stdout=said, stderr=said) as worker:
        try:
            items = log(seed=8, scenes=30)
            outcomes = list(RemoteRuntime(Settings().kafka, open_scenes=16).run(items))
        finally:
            worker.terminate()
        assert worker.wait(30) == 0
    assert [outcome.item for outcome in outcomes] == items
    assert CliRunner().invoke(dead.app, ["list"]).exit_code == 0
    watched = CliRunner().invoke(app, ["lag", Settings().kafka.group, "--once"])
    assert watched.exit_code == 0, watched.output
    assert "caught up" in watched.output or "lag 0" in watched.output
    assert SECRET not in (tmp_path / "worker.log").read_text()
    assert guarded in Settings().kafka.bootstrap_servers


def test_who_is_not_let_in_hears_why_and_does_not_wait(
    guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other").with_name("ca.pem")
    cases = [
        ("SASL_MECHANISM", "SCRAM-SHA-256", "does not take SCRAM-SHA-256"),
        ("SSL_CA_FILE", str(other), "certificate does not verify"),
        ("SASL_PASSWORD", "a-guess", "authentication failed for user 'mirela' by PLAIN"),
    ]
    for variable, value, why in cases:
        with monkeypatch.context() as wrong:
            wrong.setenv(f"SCENESTREAM_KAFKA__{variable}", value)
            told = CliRunner().invoke(topics.app, ["check"])
            assert isinstance(told.exception, BrokerAway)
            assert guarded in str(told.exception)
            assert why in str(told.exception)
    # A worker waits for a Kafka that is away; this one is there.
    monkeypatch.setenv("SCENESTREAM_KAFKA__SASL_PASSWORD", "a-guess")
    program = [sys.executable, str(Path(__file__).with_name("fake_worker.py"))]
    worker = subprocess.run(program, capture_output=True, text=True, timeout=100, check=False)
    assert worker.returncode == 2, worker.stderr
    assert why in worker.stderr.splitlines()[-1]
    watched = CliRunner().invoke(app, ["lag", "--once"])
    assert isinstance(watched.exception, BrokerAway)
    assert "uthentication" in str(watched.exception)
    said = f"{told.exception}{watched.exception}{worker.stderr}"
    assert "a-guess" not in said
    assert SECRET not in said


def test_a_password_is_never_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENESTREAM_KAFKA__SASL_PASSWORD", SECRET)
    assert SECRET not in repr(Settings()) + str(Settings().model_dump(mode="json"))

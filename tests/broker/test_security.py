"""A broker that asks who one is, over mutual TLS: every client of the pipeline is let in by settings alone."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from guarded import guarded_broker, make_certificate, make_client_certificate, mutual_tls
from kafka_server import JavaBroker
from live import WorkerProcess
from seeded_logs import log
from typer.testing import CliRunner

from streams.cli import dead, topics
from streams.cli.app import app
from streams.kafka.clients import BrokerAway, client_options, kept_out
from streams.kafka.membership import Membership
from streams.kafka.transactions import Outboxes, Sending
from streams.runtimes.remote import RemoteRuntime
from streams.settings import KafkaSettings, Settings

SECRET = "not-told-to-anyone"  # noqa: S105 - of a broker that lives for a test


# aiokafka does not wait for TLS's goodbye on a connection that was refused; where the broker says it later than the
# loop ends, the socket is garbage. It is collected here, or another test would be blamed for it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _unsaid_goodbyes() -> Iterator[None]:
    yield
    gc.collect()


@dataclass(frozen=True)
class Guarded:
    """A broker with a second listener, where it asks for a certificate and for a password."""

    broker: JavaBroker
    address: str
    folder: Path

    def change_password(self, user: str) -> None:
        """Have the broker, which is down, know another one from now on."""
        file = self.folder / "server.properties"
        before = file.read_text()
        changed = before.replace(f'user_{user}="{SECRET}"', f'user_{user}="another"')
        assert changed != before
        file.write_text(changed)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    if os.environ.get("CI") != "true" and not (shutil.which("keytool") and shutil.which("openssl")):
        pytest.skip("NO JAVA OR OPENSSL, SECURITY NOT TESTED")
    folder = tmp_path_factory.mktemp("guarded")
    certificate, _ = make_client_certificate(folder, "client")
    broker, port = guarded_broker(folder, {"mirela": SECRET, "ilya": SECRET}, mutual_tls(certificate))
    broker.start()
    yield Guarded(broker, f"127.0.0.1:{port}", folder)
    broker.close()


@pytest.fixture
def guarded(asking: Guarded, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """A broker that lets us in, with settings in the environment."""
    for variable, value in {
        "BOOTSTRAP_SERVERS": asking.address,
        "GROUP": f"s{uuid.uuid4().hex[:8]}.",
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_USERNAME": "mirela",
        "SASL_PASSWORD": SECRET,
        "SSL_CA_FILE": str(asking.folder / "ca.pem"),
        "SSL_CERT_FILE": str(asking.folder / "client.pem"),
        "SSL_KEY_FILE": str(asking.folder / "client.key"),
    }.items():
        monkeypatch.setenv(f"SCENESTREAM_KAFKA__{variable}", value)
    return asking


def test_every_client_is_let_in_by_settings(guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENESTREAM_WEB__ENABLED", "false")
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
    assert guarded.address in Settings().kafka.bootstrap_servers


def test_who_is_not_let_in_hears_why_and_does_not_wait(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other").with_name("ca.pem")
    stranger, key = (str(file) for file in make_client_certificate(tmp_path, "stranger"))
    cases = [
        ({"SASL_MECHANISM": "SCRAM-SHA-256"}, "does not take SCRAM-SHA-256"),
        ({"SSL_CA_FILE": str(other)}, "certificate does not verify"),
        ({"SSL_CERT_FILE": stranger, "SSL_KEY_FILE": key}, f"it does not take our certificate {stranger} ("),
        ({"SSL_CERT_FILE": None}, "it asks for a certificate of ours, and there is none ("),
        ({"SASL_PASSWORD": "a-guess"}, "authentication failed for user 'mirela' by PLAIN"),
    ]
    for settings, why in cases:
        with monkeypatch.context() as wrong:
            for name, value in settings.items():
                variable = f"SCENESTREAM_KAFKA__{name}"
                wrong.delenv(variable) if value is None else wrong.setenv(variable, value)
            told = CliRunner().invoke(topics.app, ["check"])
            assert isinstance(told.exception, BrokerAway)
            assert guarded.address in str(told.exception)
            assert why in str(told.exception)
    monkeypatch.setenv("SCENESTREAM_KAFKA__SASL_PASSWORD", "a-guess")
    watched = CliRunner().invoke(app, ["lag", "--once"])
    assert isinstance(watched.exception, BrokerAway)
    assert "uthentication" in str(watched.exception)
    assert "a-guess" not in f"{told.exception}{watched.exception}"


def test_a_password_that_changes_ends_workers_that_live_and_that_begin(guarded: Guarded, tmp_path: Path) -> None:
    """A worker waits for a Kafka that is away; this one comes back, and does not let it in any more."""
    assert CliRunner().invoke(topics.app, ["create"]).exit_code == 0
    settings = {
        "SCENESTREAM_KAFKA__SASL_USERNAME": "ilya",
        # It looks three times a second, and ends at the twelfth refusal.
        "SCENESTREAM_KAFKA__WATCHDOG_SECONDS": "8",
        "SCENESTREAM_MODELS__DEADLINE_SECONDS": "6",
    }
    with WorkerProcess(settings, tmp_path, "lives") as lives:
        asyncio.run(lives.until_ready())
        guarded.broker.stop()
        guarded.change_password("ilya")
        assert lives.running, lives.tail()
        guarded.broker.start()
        with WorkerProcess(settings, tmp_path, "begins") as begins:
            for worker in (lives, begins):
                assert worker.wait() == 2, worker.tail()
                last = worker.log.read_text().splitlines()[-1]
                assert f"{guarded.address} does not let us in: authentication failed for user 'ilya' by PLAIN" in last
                assert SECRET not in worker.log.read_text()
    assert [one["looks"] for one in lives.events("kafka_refuses")][-12:] == [*range(1, 13)]


def test_who_hangs_up_behind_tls_refuses_nobody(tmp_path: Path) -> None:
    """As one that dies; one that says why it hangs up does, whoever made its TLS."""
    certificate, key = make_client_certificate(tmp_path, "mirela")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_hang_up_on_all, args=(server, context), daemon=True).start()
        kafka = KafkaSettings(
            bootstrap_servers="{}:{}".format(*server.getsockname()), security_protocol="SSL", ssl_ca_file=certificate
        )
        assert asyncio.run(kept_out(kafka)) is None
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        told = asyncio.run(kept_out(kafka))
    assert "it asks for a certificate of ours, and there is none (certificate required)" in str(told)


def _hang_up_on_all(server: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with suppress(ssl.SSLError):
                connection = context.wrap_socket(connection, server_side=True)
            connection.close()


def test_a_password_is_never_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENESTREAM_KAFKA__SASL_PASSWORD", SECRET)
    assert SECRET not in repr(Settings()) + str(Settings().model_dump(mode="json"))
    monkeypatch.setenv("SCENESTREAM_KAFKA__SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    kafka = Settings().kafka
    options = client_options(kafka)
    assert options["sasl_plain_password"] == SECRET
    sending = Sending(options, kafka.group, 1000, 5, 2**20)
    membership = Membership(options, kafka.group, None, 6000, 6000, 500, 2**20, 50)
    outboxes = Outboxes(sending, transactional=True)
    for one in (sending, membership, outboxes, outboxes.of("rows-0", asyncio.sleep)):
        assert SECRET not in repr(one)

"""The watcher: the newest snapshot for whoever asks, and the last one where a look fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr
from structlog.testing import CapturingLogger

from streams.kafka.clients import BrokerAway
from streams.ops.lag.cluster import Cluster
from streams.ops.lag.found import Found
from streams.ops.lag.reset import ResetError, read_backup
from streams.ops.lag.watch import Watcher
from streams.ops.reading.librdkafka import Complaints, client_options, said
from streams.settings import KafkaSettings, OpsSettings

QUICK = OpsSettings(every_seconds=0.5)


class Scripted:
    """A cluster whose looks are written down beforehand; the last one is repeated."""

    def __init__(self, *looks: Callable[[], Found]) -> None:
        self.looks = list(looks)
        self.closed = False

    def look(self) -> Found:
        return (self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])()

    def close(self) -> None:
        self.closed = True


def fine() -> Found:
    return Found("kafka", datetime.now(UTC), 0.0, 0.01, (), {}, {}, {})


def away() -> Found:
    raise BrokerAway("no Kafka answers")


def broken() -> Found:
    raise ZeroDivisionError("ours")


def test_a_failed_look_leaves_the_last_one_standing_and_says_so() -> None:
    watcher = Watcher(Scripted(fine, away, away, fine), QUICK)
    assert watcher.latest() is None
    first, second, third, fourth = (watcher.look() for _ in range(4))
    assert (first.error, first.failures) == (None, 0)
    assert (second.error, second.failures, second.at) == ("no Kafka answers", 1, first.at)
    assert (third.failures, third.looks) == (2, 1)
    assert (fourth.error, fourth.failures, fourth.looks) == (None, 2, 2)
    assert watcher.latest() is fourth


def test_before_the_first_look_there_is_nothing_but_the_error() -> None:
    snapshot = Watcher(Scripted(away), QUICK).look()
    assert (snapshot.looks, snapshot.groups, snapshot.error) == (0, (), "no Kafka answers")


def test_a_fault_of_ours_is_told_and_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    log = CapturingLogger()
    monkeypatch.setattr("streams.ops.lag.watch._log", log)
    cluster = Scripted(broken, fine)
    with Watcher(cluster, QUICK) as watcher:
        first = watcher.wait_newer(None, 10.0)
        assert first is not None
        assert "the look itself failed: ZeroDivisionError('ours')" in (first.error or "")
        second = watcher.wait_newer(first, 10.0)
        assert second is not None
        assert (second.error, second.failures) == (None, 1)
    assert cluster.closed
    assert [(call.method_name, call.args) for call in log.calls] == [("exception", ("look_failed",))]


def test_whoever_waits_is_woken_by_the_end_and_not_kept_longer_than_asked() -> None:
    watcher = Watcher(Scripted(fine), OpsSettings(every_seconds=600.0))
    woken: list[object] = []
    with watcher:
        newest = watcher.wait_newer(None, 10.0)
        assert watcher.wait_newer(newest, 0.01) is None
        waiting = threading.Thread(target=lambda: woken.append(watcher.wait_newer(newest, 60.0)))
        waiting.start()
    waiting.join(10.0)
    assert woken == [None]


def test_settings_of_kafka_are_told_to_librdkafka_in_its_words(tmp_path: Path) -> None:
    kafka = KafkaSettings(
        bootstrap_servers="one:9092,two:9092",
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="mirela",
        sasl_password=SecretStr("a secret"),
        ssl_ca_file=tmp_path / "ca.pem",
        ssl_cert_file=tmp_path / "both.pem",
        ssl_key_password=SecretStr("another"),
    )
    options = client_options(kafka, Complaints())
    expected = {
        "bootstrap.servers": "one:9092,two:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "mirela",
        "sasl.password": "a secret",
        "ssl.ca.location": str(tmp_path / "ca.pem"),
        "ssl.certificate.location": str(tmp_path / "both.pem"),
        "ssl.key.location": str(tmp_path / "both.pem"),
        "ssl.key.password": "another",
    }
    assert {name: options[name] for name in expected} == expected
    plain = client_options(KafkaSettings(), Complaints())
    assert not [name for name in plain if name.startswith(("sasl", "ssl"))]
    # It takes them: an option that it does not know raises.
    AdminClient(plain)
    Consumer({**plain, "group.id": "none"}).close()


def test_a_certificate_that_is_not_there_is_told_without_secrets(tmp_path: Path) -> None:
    kafka = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_username="mirela",
        sasl_password=SecretStr("a secret"),
        ssl_ca_file=tmp_path / "nowhere.pem",
    )
    with pytest.raises(BrokerAway, match="settings of Kafka cannot be used") as told:
        Cluster(kafka, QUICK)
    assert "nowhere.pem" in str(told.value)
    assert "a secret" not in str(told.value)


def test_what_kafka_said_is_said_in_its_words() -> None:
    assert said(KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))).endswith(
        "Group authorization failed"
    )
    assert said(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 1, "offsets": [{"offset": -5}]}'])
def test_what_is_no_backup_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "backup.json"
    with pytest.raises(ResetError, match="cannot read"):
        read_backup(path)
    path.write_text(text)
    with pytest.raises(ResetError, match="is no backup of offsets"):
        read_backup(path)

"""librdkafka, the client that knows every kind of group: the same settings as for aiokafka, in its own words."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaError, KafkaException

from streams.kafka.clients import BrokerAway, away
from streams.kafka.records import Place
from streams.settings import KafkaSettings

# After a broker comes back it should not take longer than a look until it is seen.
_RECONNECT_MS = 1000


class Complaints:
    """What a client last had to say about its connections, which its own exceptions do not tell."""

    def __init__(self) -> None:
        self.last: str | None = None

    def hear(self, error: KafkaError) -> None:
        """Keep the most telling of a burst: that all brokers are down is said by whoever asks."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - that is the constant's name
            self.last = error.str()


def client_options(kafka: KafkaSettings, complaints: Complaints, **more: str | float) -> dict[str, Any]:
    """Return what a client of confluent-kafka is made from; it holds secrets, so it is for no log."""
    given: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "client.id": "scenestream-ops",
        "security.protocol": kafka.security_protocol,
        # Connections are complained about here rather than on stderr, once a second as long as Kafka is away.
        "log_level": 0,
        "error_cb": complaints.hear,
        "reconnect.backoff.max.ms": _RECONNECT_MS,
        **(_sasl(kafka) if kafka.security_protocol.startswith("SASL") else {}),
        **(_tls(kafka) if kafka.security_protocol.endswith("SSL") else {}),
        **more,
    }
    return {name: value for name, value in given.items() if value is not None}


def broker_away(kafka: KafkaSettings, complaints: Complaints, error: object) -> BrokerAway:
    """Return what is raised where Kafka does not answer, with the reason that its client complained of."""
    return away(kafka, complaints.last or error)


def unusable(kafka: KafkaSettings, error: KafkaException) -> BrokerAway:
    """Return what is raised where a client refuses its settings: a file that is not there, a key's wrong password."""
    files = [str(file) for file in (kafka.ssl_ca_file, kafka.ssl_cert_file, kafka.ssl_key_file) if file is not None]
    named = f" (files: {', '.join(files)})" if files else ""
    return BrokerAway(f"settings of Kafka cannot be used: {said(error)}{named}; see SCENESTREAM_KAFKA__*")


def said(error: BaseException) -> str:
    """Return what Kafka said, without the client's own way of writing it."""
    inner = error.args[0] if error.args else error
    return inner.str() if isinstance(inner, KafkaError) else str(inner) or type(error).__name__


def is_about_connections(error: KafkaException) -> bool:
    """Return whether Kafka did not answer, rather than refuse."""
    inner = error.args[0] if error.args else None
    return isinstance(inner, KafkaError) and inner.code() in {
        KafkaError._TRANSPORT,  # noqa: SLF001 - these are the constants' names
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._AUTHENTICATION,  # noqa: SLF001
    }


def is_denied(error: KafkaError) -> bool:
    """Return whether Kafka knows who asks and does not let them."""
    return error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def denied(topic: str, operation: str) -> str:
    """Return what is told of a topic that may not be read."""
    return f"{topic} cannot be read: Kafka's access rules do not allow {operation} on it to this dashboard's user"


def unread(place: Place, fault: KafkaError) -> str:
    """Return what is told of a partition that cannot be read."""
    if is_denied(fault):
        return denied(place.topic, "Read")
    return f"{place.topic}, partition {place.partition}, cannot be read: {fault.str()}"


def _sasl(kafka: KafkaSettings) -> dict[str, object]:
    secret = kafka.sasl_password
    return {
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": None if secret is None else secret.get_secret_value(),
    }


def _tls(kafka: KafkaSettings) -> dict[str, object]:
    secret = kafka.ssl_key_password
    return {
        "ssl.ca.location": _path(kafka.ssl_ca_file),
        "ssl.certificate.location": _path(kafka.ssl_cert_file),
        "ssl.key.location": _path(kafka.ssl_key_file or kafka.ssl_cert_file),
        "ssl.key.password": None if secret is None else secret.get_secret_value(),
    }


def _path(path: object) -> str | None:
    return None if path is None else str(path)

"""Clients: what every aiokafka client is told of the broker, and how a broker that is away is told to a person."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from pydantic import SecretStr

from streams.kafka.header_names import read_any_name
from streams.kafka.refusals import refusal
from streams.settings import KafkaSettings

# Here, for every consumer of aiokafka's asks here how it is let in.
read_any_name()
_DENIALS = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


class BrokerAway(Exception):  # noqa: N818 - what it is, not that it is an error
    """The broker does not answer, or not to us; the message says what, where and what to do."""


# For who has not reached it yet.
HOW_TO_REACH = (
    "start one with `make kafka`, or set SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS "
    "(and SCENESTREAM_KAFKA__SECURITY_PROTOCOL, __SASL_* and __SSL_* where it asks who you are)"
)


def away(kafka: KafkaSettings, why: object) -> BrokerAway:
    """Return what is raised where Kafka does not answer; `why` is what its client says."""
    return BrokerAway(f"no Kafka answers at {kafka.bootstrap_servers} ({why}); {HOW_TO_REACH}")


def not_allowed(kafka: KafkaSettings, why: object) -> BrokerAway:
    """Return what is raised where Kafka knows who asks and does not let them."""
    return BrokerAway(f"Kafka at {kafka.bootstrap_servers} refuses this user ({why}); an access rule has to allow it")


class Client(Protocol):
    """What aiokafka's producers, consumers and admin clients have in common."""

    async def start(self) -> object:
        """Connect."""


Started = TypeVar("Started", bound=Client)


def client_options(kafka: KafkaSettings) -> dict[str, object]:
    """Return the keyword arguments that every aiokafka client takes: where the broker is, and how to be let in."""
    options: dict[str, object] = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "security_protocol": kafka.security_protocol,
        "ssl_context": tls_context(kafka),
    }
    if kafka.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": _told(kafka.sasl_password),
        }
    return options


def tls_context(kafka: KafkaSettings) -> ssl.SSLContext | None:
    """Return what TLS needs; None where there is none. Raises OSError for a file that is not there."""
    if not kafka.security_protocol.endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=kafka.ssl_ca_file)
    if kafka.ssl_cert_file is not None:
        context.load_cert_chain(kafka.ssl_cert_file, kafka.ssl_key_file, _told(kafka.ssl_key_password))
    return context


def _told(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


async def kept_out(kafka: KafkaSettings) -> BrokerAway | None:
    """Return what is raised where Kafka is there and does not let us in; None where it may be away."""
    why = await refusal(client_options(kafka), kafka.ssl_cert_file)
    return None if why is None else BrokerAway(why)


@asynccontextmanager
async def connected(client: Started, kafka: KafkaSettings) -> AsyncIterator[Started]:
    """Start a client and stop it in the end; raises BrokerAway where the broker does not let it in."""
    stop = getattr(client, "stop", None) or client.close  # type: ignore[attr-defined]
    try:
        try:
            await client.start()
        except _DENIALS as error:
            raise not_allowed(kafka, error) from error
        except (KafkaError, OSError) as error:
            raise await kept_out(kafka) or away(kafka, error) from error
        yield client
    finally:
        await stop()


async def denied_of(kafka: KafkaSettings, topics: Iterable[str]) -> list[str]:
    """Return those of some topics that Kafka says nothing of to this user, though they may be there.

    Asked for how they are configured: to ask for a topic itself may make it.
    """
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in sorted(topics)]
    if not asked:
        return []
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
        return denied_in(await admin.describe_configs(asked))


def denied_in(answers: Iterable[Any]) -> list[str]:
    """Return the topics about whose configuration Kafka tells this user nothing, from its answers to being asked."""
    told = [(name, code) for answer in answers for code, _, _, name, _ in answer.resources]
    return [name for name, code in told if code == TopicAuthorizationFailedError.errno]


async def hidden(kafka: KafkaSettings, topics: Iterable[str], seen: Iterable[TopicPartition]) -> BrokerAway | None:
    """Return what is raised where Kafka hides a topic from this user: it would be taken for one that is not there."""
    denied = await denied_of(kafka, {*topics} - {place.topic for place in seen})
    return not_allowed(kafka, f"Describe on {', '.join(denied)}") if denied else None


async def partitions_of(kafka: KafkaSettings, topics: Iterable[str]) -> list[TopicPartition]:
    """Return the partitions of those topics that are there."""
    wanted = set(topics)
    async with connected(AIOKafkaAdminClient(**client_options(kafka)), kafka) as admin:
        described = [one for one in await admin.describe_topics() if one["topic"] in wanted]
    return sorted(
        TopicPartition(one["topic"], partition["partition"]) for one in described for partition in one["partitions"]
    )

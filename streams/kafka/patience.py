"""Waiting for Kafka: try again with growing pauses, and say so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidMessageError,
    InvalidSessionTimeoutError,
    InvalidTransactionTimeout,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedVersionError,
)

from streams.settings import KafkaSettings

_log = structlog.get_logger(__name__)
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_DOUBLINGS = 10


_REFUSALS = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidSessionTimeoutError,
    InvalidTransactionTimeout,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedVersionError,
)
# Which setting is wrong, and what to do.
_SETTINGS = {
    InvalidSessionTimeoutError: (
        "session_timeout_seconds",
        "it has to lie between the broker's group.min.session.timeout.ms and group.max.session.timeout.ms (6, 1,800 s)",
    ),
    InvalidTransactionTimeout: (
        "transaction_timeout_seconds",
        "it has to be a millisecond at least, and the broker's transaction.max.timeout.ms (900 s by default) at most",
    ),
}
_UNSENDABLE = (MessageSizeTooLargeError, InvalidMessageError)
_FINAL = (*_REFUSALS, ProducerFenced, *_UNSENDABLE)


class SettingError(Exception):
    """A setting that Kafka refuses; the message says which, its value and what to do."""


def may_pass(error: BaseException) -> bool:
    """Return whether an error came from Kafka and may be gone when all is begun again.

    aiokafka wraps the reason, often twice, and a producer whose connection broke may say next that it is in no
    transaction: so what is final is listed, and not what may pass.
    """
    return isinstance(error, (KafkaError, OSError)) and not _has(error, _FINAL)


def is_refused(error: BaseException) -> bool:
    """Return whether Kafka will not have us, as things are: to try again changes nothing."""
    return _has(error, _REFUSALS)


def refused_setting(error: BaseException, kafka: KafkaSettings) -> SettingError | None:
    """Return the setting that Kafka refuses; None where what went wrong is something else."""
    for kind, (name, hint) in _SETTINGS.items():
        if _has(error, (kind,)):
            value = getattr(kafka, name)
            return SettingError(f"Kafka does not take SCENESTREAM_KAFKA__{name.upper()}={value}: {hint}")
    return None


def is_fenced(error: BaseException) -> bool:
    """Return whether somebody else goes on under our name."""
    return _has(error, (ProducerFenced,))


def is_unsendable(error: BaseException) -> bool:
    """Return whether Kafka will not have what was sent, however often it is sent."""
    return _has(error, _UNSENDABLE)


def _has(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, kinds):
            return True
        reason = reason.__cause__
    return False


def pause_seconds(tries: int) -> float:
    """Return how long to wait after so many tries, one at least."""
    return min(_FIRST_PAUSE_SECONDS * 2.0 ** min(tries - 1, _DOUBLINGS), _LONGEST_PAUSE_SECONDS)


async def until_reached(what: str, attempt: Callable[[], Awaitable[None]], stopped: Callable[[], bool]) -> bool:
    """Try until Kafka answers; return False when told to stop first. What Kafka will not have is raised."""
    tries = 0
    while not stopped():
        try:
            await attempt()
        except (KafkaError, OSError) as error:
            if is_refused(error):
                raise
            tries += 1
            seconds = pause_seconds(tries)
            _log.warning("kafka_away", what=what, error=str(error), next_try_in_seconds=seconds)
            await asyncio.sleep(seconds)
        else:
            return True
    return False

"""What Kafka has to say before a worker may begin, and whether it still lets it in: else a person must act."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from streams.kafka.clients import BrokerAway, client_options, kept_out
from streams.kafka.topics_admin import TopicError, faults, look, specs
from streams.settings import KafkaSettings

_log = structlog.get_logger(__name__)
# With the pauses between, some seconds.
_REFUSED_TIMES = 5
# One each time that the watchdog looks: a minute by default.
_REFUSED_LOOKS = 12


def checked(kafka: KafkaSettings, fail: Callable[[BaseException], None]) -> Callable[[], Awaitable[None]]:
    """Return what looks whether a worker may begin: `fail` is told what a person must put right.

    Not to be let in is no such thing at once, for what Kafka asks about its users may come up after it: that raises
    KafkaConnectionError, until it was said so often.
    """
    refused = 0

    async def check() -> None:
        nonlocal refused
        try:
            await check_topics(kafka)
        except TopicError as error:
            fail(error)
        except BrokerAway as error:
            refused += 1
            if refused < _REFUSED_TIMES:
                raise KafkaConnectionError(str(error)) from error
            fail(error)

    return check


async def check_topics(kafka: KafkaSettings) -> None:
    """Raise TopicError where a topic is missing or wrong, BrokerAway where Kafka is there and does not let us in."""
    admin = AIOKafkaAdminClient(**client_options(kafka))
    try:
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            refused = await kept_out(kafka)
            if refused is not None:
                raise refused from error
            raise
        found = await look(admin, specs(kafka))
    finally:
        await admin.close()
    wrong = faults(found)
    if wrong:
        raise TopicError("\n".join(wrong))


class Admission:
    """Whether Kafka would let a worker in that it knows: a password changes under it, or a certificate runs out.

    Its clients do not say so: they reconnect, and begin partitions, for ever. It is more patient than a worker that
    begins, for where Kafka asks somebody else about its users that may be away, and nobody starts a worker again that
    a person must look after.
    """

    def __init__(self, kafka: KafkaSettings, fail: Callable[[BaseException], None]) -> None:
        self._kafka = kafka
        self._fail = fail
        self._refused = 0

    def granted(self) -> None:
        """Take note that all is well."""
        self._refused = 0

    async def ask(self) -> None:
        """Ask whether we were let in now; `fail` is told why not when that was said so often in a row."""
        refused = await kept_out(self._kafka)
        if refused is None:
            self.granted()
            return
        self._refused += 1
        _log.warning("kafka_refuses", why=str(refused), looks=self._refused, ends_after=_REFUSED_LOOKS)
        if self._refused >= _REFUSED_LOOKS:
            self._fail(refused)

"""Refusals: why Kafka does not let us in, which its clients do not tell when they connect for the first time.

aiokafka tries each server, logs what was wrong and says that it reached none: a wrong password looks like a broker that
is away, for which a worker would wait for ever. So whoever could not connect asks once more, for the reason alone.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

_WITHIN_MS = 5_000
_NO_TLS = "WRONG_VERSION_NUMBER"


async def refusal(options: Mapping[str, object]) -> str | None:
    """Return why a client with these options is not let in, and what to do; None where it is, or nobody answers."""
    connecting = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    for host, port, _ in collect_hosts(options["bootstrap_servers"]):
        try:
            connection = await create_conn(host, port, request_timeout_ms=_WITHIN_MS, **connecting)
        except (KafkaError, OSError) as error:
            why = _why(error, options)
            if why is not None:
                return f"Kafka at {host}:{port} does not let us in: {why}"
        else:
            connection.close()
            return None
    return None


def _why(error: Exception, options: Mapping[str, object]) -> str | None:
    mechanism = options.get("sasl_mechanism")
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate does not verify ({error.verify_message}); set SCENESTREAM_KAFKA__SSL_CA_FILE to the "
                "certificate of who signed it, and reach it by a name that it is made out to"
            )
        case ssl.SSLError() if error.reason == _NO_TLS:
            return "it does not speak TLS there; see SCENESTREAM_KAFKA__SECURITY_PROTOCOL and the port"
        case AuthenticationFailedError() | SaslAuthenticationFailed():
            return (
                f"authentication failed for user {options.get('sasl_plain_username')!r} by {mechanism}; "
                "see SCENESTREAM_KAFKA__SASL_USERNAME and SCENESTREAM_KAFKA__SASL_PASSWORD"
            )
        case UnsupportedSaslMechanismError() | IllegalSaslStateError():
            return f"it does not take {mechanism}; see SCENESTREAM_KAFKA__SASL_MECHANISM and __SECURITY_PROTOCOL"
        case _:
            return None

"""Refusals: why Kafka does not let us in, which its clients do not tell when they connect for the first time.

aiokafka tries each server, logs what was wrong and says that it reached none: a wrong password looks like a broker that
is away, for which a worker would wait for ever. So whoever could not connect asks once more, for the reason alone.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

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
# What TLS says of a certificate that was wanted and is not there, or is not taken.
_OF_CERTIFICATES = frozenset(
    {
        *("BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_REQUIRED", "CERTIFICATE_REVOKED"),
        *("CERTIFICATE_UNKNOWN", "UNKNOWN_CA", "UNSUPPORTED_CERTIFICATE"),
    }
)


async def refusal(options: Mapping[str, object], certificate: Path | None = None) -> str | None:
    """Return why a client with these options is not let in, and what to do; None where it is, or nobody answers.

    One server that lets it in is enough, whatever the others say: they may still be coming up. `certificate` is the
    file of the client's own, which `options` hold too.
    """
    connecting = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    refused = None
    for host, port, _ in collect_hosts(options["bootstrap_servers"]):
        try:
            connection = await create_conn(host, port, request_timeout_ms=_WITHIN_MS, **connecting)
        except (KafkaError, OSError) as error:
            why = _why(error, options)
            if why is None and not isinstance(error, TimeoutError):
                why = await _turned_down(host, port, options, certificate)
            if why is not None:
                refused = refused or f"Kafka at {host}:{port} does not let us in: {why}"
        else:
            connection.close()
            return None
    return refused


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


async def _turned_down(host: str, port: int, options: Mapping[str, object], certificate: Path | None) -> str | None:
    """Return how a server turns our certificate down, or the lack of one; None where it does not.

    To the client TLS 1.3 is done before the server has looked at its certificate. Nothing is sent after it, for what
    a server says is lost when it hangs up on something that it has not read.
    """
    context = options.get("ssl_context")
    if not isinstance(context, ssl.SSLContext):
        return None
    try:
        async with asyncio.timeout(_WITHIN_MS / 1000):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                await reader.read(1)
            finally:
                writer.close()
    except ssl.SSLError as error:
        said = (error.reason or "").partition("_ALERT_")[2]
        if said not in _OF_CERTIFICATES:
            return None
        words = said.replace("_", " ").lower()
        if certificate is None:
            return (
                f"it asks for a certificate of ours, and there is none ({words}); set SCENESTREAM_KAFKA__SSL_CERT_FILE "
                "and SCENESTREAM_KAFKA__SSL_KEY_FILE"
            )
        return f"it does not take our certificate {certificate} ({words}); see SCENESTREAM_KAFKA__SSL_CERT_FILE"
    except OSError:
        return None
    return None

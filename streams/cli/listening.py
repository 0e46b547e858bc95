"""Whether an address can be listened at, asked before anything else is begun."""

from __future__ import annotations

import os
import socket

from streams.settings import SettingsError


def check_free(host: str, port: int, advice: str) -> None:
    """Raise SettingsError, with `advice`, where an address is taken or none of this machine; 0 is any free port."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                # What a process that is gone left behind there does not count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except socket.gaierror as error:
        raise SettingsError(f"cannot listen at {host}:{port}: {error.strerror}; {advice}") from error
    except OSError as error:
        raise SettingsError(f"cannot listen at {host}:{port}: {os.strerror(error.errno or 0)}; {advice}") from error

"""The cluster: a broker of its own, with a listener for each worker that may be reached through a proxy only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

from tests.broker.kafka_server import JavaBroker, free_port, java_jars
from tests.chaos.proxy import Proxy

_NAMES = ("one", "two")
_HOST = "127.0.0.1"


class Cluster:
    """A broker in `folder`. Clients follow the address that a listener advertises: for these, a proxy's."""

    def __init__(self, folder: Path) -> None:
        # For each worker the port of the broker's own listener, and that of the proxy before it.
        self._ports = {name: (free_port(), free_port()) for name in _NAMES}
        port, controller = free_port(), free_port()
        listeners = {"PLAINTEXT": port, "CONTROLLER": controller}
        advertised = {"PLAINTEXT": port}
        for name, (own, proxy) in self._ports.items():
            listeners[name.upper()], advertised[name.upper()] = own, proxy
        self.broker = JavaBroker(
            folder,
            java_jars(),
            port,
            extra={
                "listeners": _written(listeners),
                "advertised.listeners": _written(advertised),
                "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
                "controller.quorum.voters": f"1@localhost:{controller}",
            },
        )

    def __enter__(self) -> Self:
        self.broker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.broker.close()

    def proxied(self, name: str) -> str:
        """Return the address at which this worker reaches the broker through its proxy."""
        return f"{_HOST}:{self._ports[name][1]}"

    @asynccontextmanager
    async def proxies(self) -> AsyncIterator[Mapping[str, Proxy]]:
        """Yield the proxies of the workers, while they are up."""
        async with AsyncExitStack() as stack:
            yield {
                name: await stack.enter_async_context(Proxy(proxy, own)) for name, (own, proxy) in self._ports.items()
            }


def _written(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{_HOST}:{port}" for name, port in ports.items())

"""NetworkPolicies for what does not pass the proxy: pods that connect to each other by address, or to hosts outside.

Where pods have a network of their own it asks the same `Guard` about the first packet of each connection, while there
is any policy. What is refused is dropped; what has been established stays. Upstream it is a network plug-in's affair.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

from minik8s.api.resources import NETWORK_POLICIES
from minik8s.client.informer import Informers
from minik8s.clock import Clock
from minik8s.logs import get_logger
from minik8s.machinery.meta import Doc
from minik8s.proxy.guard import Guard
from minik8s.proxy.networks import Network
from minik8s.proxy.servicemap import Endpoint, Frontend

RETRY_SECONDS = 5.0

_log = get_logger(__name__)


class Policing:
    """Keeps a network asking as long as it has to. `serves` says what the proxy answers for, and asks about itself."""

    def __init__(
        self, informers: Informers, clock: Clock, guard: Guard, network: Network, serves: Callable[[Frontend], bool]
    ) -> None:
        self._policies = informers(NETWORK_POLICIES)
        self._clock, self._guard, self._network, self._serves = clock, guard, network, serves
        self._changed = anyio.Event()
        self._asking = False

    @property
    def busy(self) -> bool:
        """Whether the network does not do yet what it has to."""
        return self._asking is not self._wanted

    @property
    def _wanted(self) -> bool:
        return len(self._policies.lister) > 0

    async def run(self) -> None:
        """Until cancelled."""
        await self._guard.synced()
        forget = self._policies.add_handler(self._on_policy)
        try:
            while True:
                await self._follow()
                await self._changed.wait()
                self._changed = anyio.Event()
        finally:
            forget()

    def _on_policy(self, old: Doc | None, new: Doc | None) -> None:
        if old is None or new is None:
            self._changed.set()

    async def _follow(self) -> None:
        while self.busy:
            wanted = self._wanted
            try:
                await self._network.filter(self.allows if wanted else None)
                self._asking = wanted
            except OSError as error:
                _log.warning("packets between pods cannot be filtered", why=str(error))
                await self._clock.sleep(RETRY_SECONDS)

    def allows(self, source: str, destination: str, protocol: str, port: int) -> bool:
        """Whether a connection may begin. Of a pod that nobody knows yet none may: it is asked about again."""
        if any(self._network.is_pod(end) and not self._guard.knows(end) for end in (source, destination)):
            return False
        return self._serves(Frontend(protocol, destination, port)) or self._guard.allows(
            source, protocol, Endpoint(destination, port)
        )

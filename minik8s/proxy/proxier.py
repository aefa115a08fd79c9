"""Keeps the machine's listeners equal to what Services and EndpointSlices ask for.

Informers mark the Services, and the pods with host ports, that a change concerns; one task takes them in batches,
closes what is no longer wanted before it opens what is (a port may pass from one to another), and retries what could
not be bound. Upstream's
counterpart is kube-proxy's `Proxier.syncProxyRules`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial
from typing import Literal, NamedTuple

import anyio

from minik8s.api.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from minik8s.api.services import SERVICE_NAME_LABEL, by_service
from minik8s.client.events import Recorders
from minik8s.client.informer import Informers
from minik8s.clock import Clock, TimerHandle
from minik8s.machinery.meta import Doc, labels_of, name_of, namespace_of
from minik8s.proxy.guard import Guard
from minik8s.proxy.hostports import frontends_of_pod, has_host_ports
from minik8s.proxy.networks import Bind, Network, bind, plain, with_aliases
from minik8s.proxy.poller import make_poller
from minik8s.proxy.relay import Connections
from minik8s.proxy.served import Served, Status
from minik8s.proxy.servicemap import Frontend, Nodes, ServiceMap, diff, frontends_of

RETRY_SECONDS = 30.0
"""How soon an address that could not be bound is tried again: kube-proxy's sync period."""
COMPONENT = "kube-proxy"

EARLY_SECONDS = 1.0
"""How soon a host port is tried again behind which nobody listens yet."""


class Key(NamedTuple):
    """Who has frontends."""

    kind: Literal["Service", "Pod"]
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Proxier:
    """Serves every Service of a cluster on this machine.

    nodes                 names of the nodes of this machine, for Local traffic policies; None: all nodes
    node_port_addresses   where node ports are opened on this machine, kube-proxy's --nodeport-addresses
    host                  the node name under which Events are signed
    network               the network that pods have of their own, None where they share this machine's: only with the
                          former nodes have addresses where their ports are opened as well
    guard                 asks NetworkPolicies about who connects, and knows where clients are, so that hints are heeded
                          and `internalTrafficPolicy: Local` means the client's node; goes with a network
    host_ports            whether pods' host ports are served: where there are processes behind them
    """

    def __init__(
        self,
        informers: Informers,
        clock: Clock,
        recorders: Recorders,
        *,
        nodes: Collection[str] | None = None,
        node_port_addresses: Collection[str] = ("127.0.0.1",),
        host: str = "",
        binder: Bind | None = None,
        network: Network | None = None,
        guard: Guard | None = None,
        host_ports: bool = False,
    ) -> None:
        self._services = informers(SERVICES)
        self._slices = informers(ENDPOINT_SLICES)
        self._slices.add_index("service", by_service)
        self._pods = informers(PODS) if host_ports else None
        self._node_cache = None if network is None else informers(NODES)
        self._guard = guard
        self._clock = clock
        self._recorder = recorders.recorder(COMPONENT, host)
        self._nodes = nodes
        self._node_port_addresses = tuple(node_port_addresses)
        self._network = network
        self._sockets = plain if network is None else network.make_socket
        self._bind = binder or partial(bind, sockets=self._sockets)
        self._bind_inside = self._bind if network is None else partial(bind, sockets=network.make_inside)
        self._maps: dict[Key, ServiceMap] = {}
        self._served: dict[tuple[Key, Frontend], Served] = {}
        self._holders: dict[Frontend, Key] = {}  # which Service serves an address itself
        self._told: dict[tuple[Key, Frontend], str] = {}
        self._dirty: dict[Key, None] = {}
        self._wake = anyio.Event()
        self._acted = anyio.Event()
        self._retries: dict[float, TimerHandle] = {}  # by their seconds
        self._connections: Connections | None = None

    @property
    def busy(self) -> bool:
        """Whether a change has been seen that has not been acted on yet."""
        return bool(self._dirty)

    def serves(self, frontend: Frontend) -> bool:
        """Whether what connects to an address meets the proxy there."""
        return frontend in self._holders

    def statuses(self) -> list[Status]:
        """Every wanted frontend and what became of it."""
        return [served.status for served in self._served.values()]

    def address_of(self, namespace: str, name: str, port: str | int) -> tuple[str, int]:
        """Where a Service's port, by name or number, answers on this machine: its ClusterIP or that one's stand-in.

        Raises LookupError when the Service has no such port, or nothing could be opened for it (yet).
        """
        key = Key("Service", namespace, name)
        for frontend, wanted in self._maps.get(key, {}).items():
            if wanted.kind != "HealthCheck" and port in (wanted.name, wanted.port):
                address = self._served[key, frontend].status.address
                if address is not None:
                    return address
        raise LookupError(f'Service "{namespace}/{name}" has no port {port!r} that the proxy serves')

    async def served_address(self, namespace: str, name: str, port: str | int) -> tuple[str, int]:
        """`address_of`, once there is one; waits as long as it takes."""
        while True:
            try:
                return self.address_of(namespace, name, port)
            except LookupError:
                await self._acted.wait()

    async def run(self) -> None:
        """Serves until cancelled; then every socket is closed and established connections are reset."""
        poller = make_poller(asyncio.get_running_loop())
        self._connections = Connections(poller, self._clock, self._sockets, self._guard)
        removals = []
        try:
            await self._synced()
            removals = [self._services.add_handler(self._on_service), self._slices.add_handler(self._on_slice)]
            if self._pods is not None:
                removals.append(self._pods.add_handler(self._on_pod))
            if self._node_cache is not None:
                removals.append(self._node_cache.add_handler(self._on_node))
            while True:
                await self._wake.wait()
                self._wake = anyio.Event()
                dirty, self._dirty = list(self._dirty), {}
                self._sync(dirty, self._connections)
                acted, self._acted = self._acted, anyio.Event()
                acted.set()
        finally:
            for remove in removals:
                remove()
            self._close()
            self._connections.close()
            poller.close()

    async def _synced(self) -> None:
        await self._services.synced()
        await self._slices.synced()
        if self._pods is not None:
            await self._pods.synced()
        if self._node_cache is not None:
            await self._node_cache.synced()
        if self._guard is not None:
            await self._guard.synced()

    def _close(self) -> None:
        for timer in self._retries.values():
            timer.cancel()
        self._retries.clear()
        for served in self._served.values():
            served.close()
        for table in (self._served, self._holders, self._maps, self._told, self._dirty):
            table.clear()

    def _on_service(self, old: Doc | None, new: Doc | None) -> None:
        obj = new or old
        if obj is not None:
            self._mark(Key("Service", namespace_of(obj), name_of(obj)))

    def _on_pod(self, old: Doc | None, new: Doc | None) -> None:
        obj = new or old
        if obj is not None and has_host_ports(obj, beside=self._network is not None):
            self._mark(Key("Pod", namespace_of(obj), name_of(obj)))

    def _on_node(self, old: Doc | None, new: Doc | None) -> None:
        """Every Service with node ports is concerned by a node that comes, goes or has another address."""
        if _internal_address(old) != _internal_address(new):
            for service in self._services.lister.all():
                if any(port.get("nodePort") for port in service["spec"].get("ports") or ()):
                    self._on_service(None, service)

    def _on_slice(self, old: Doc | None, new: Doc | None) -> None:
        for obj in (old, new):
            if obj is not None and (service := labels_of(obj).get(SERVICE_NAME_LABEL)):
                self._mark(Key("Service", namespace_of(obj), service))

    def _mark(self, key: Key) -> None:
        self._dirty[key] = None
        self._wake.set()

    def _sync(self, keys: Collection[Key], connections: Connections) -> None:
        """Brings the listeners of some Services up to date, closing before opening."""
        opened: list[tuple[Key, Frontend]] = []
        for key in keys:
            old, new = self._maps.pop(key, {}), self._wanted(key)
            if new:
                self._maps[key] = new
            changes = diff(old, new)
            for frontend in changes.closed:
                self._drop(key, frontend)
            for frontend in changes.updated:
                self._served[key, frontend].update(new[frontend])
            opened.extend((key, frontend) for frontend in changes.opened)
            opened.extend((key, f) for f in new if f not in changes.opened and self._served[key, f].problem)
        for key, frontend in opened:
            self._open(key, frontend, connections)

    def _wanted(self, key: Key) -> ServiceMap:
        owner = self._owner(key)
        if owner is None:
            return {}
        if key.kind == "Pod":
            return frontends_of_pod(owner, self._node_port_addresses, beside=self._network is not None)
        slices = self._slices.lister.by_index("service", f"{key.namespace}/{key.name}")
        wanted = frontends_of(owner, slices, nodes=self._nodes, node_ports=self._node_ports())
        return wanted if self._network is None else with_aliases(wanted)

    def _node_ports(self) -> dict[str, Nodes]:
        """Where node ports are opened: on the machine for all nodes, in the pods' network for each."""
        found: dict[str, Nodes] = dict.fromkeys(self._node_port_addresses, self._nodes)
        if self._network is not None and self._node_cache is not None:
            for node in self._node_cache.lister.all():
                if (address := _internal_address(node)) and self._network.is_node(address):
                    found[address] = (name_of(node),)
        return found

    def _owner(self, key: Key) -> Doc | None:
        cache = self._pods if key.kind == "Pod" else self._services
        return None if cache is None else cache.lister.get(key.name, key.namespace)

    def _drop(self, key: Key, frontend: Frontend) -> None:
        self._served.pop((key, frontend)).close()
        self._told.pop((key, frontend), None)
        if self._holders.get(frontend) == key:
            del self._holders[frontend]

    def _open(self, key: Key, frontend: Frontend, connections: Connections) -> None:
        """Opens a frontend, or tries again what failed before."""
        served = self._served.get((key, frontend))
        if served is None:
            binder = self._bind_inside if frontend.inside else self._bind
            served = Served(frontend, self._maps[key][frontend], connections, binder)
            self._served[key, frontend] = served
        elif self._holders.get(frontend) == key:
            del self._holders[frontend]  # it was held and then lost
        holder = self._holders.get(frontend)
        served.open(taken_by=str(holder) if holder else "")
        if not served.problem:
            self._holders[frontend] = key
        elif not served.is_foreign:
            seconds = EARLY_SECONDS if served.is_early else RETRY_SECONDS
            if seconds not in self._retries:
                self._retries[seconds] = self._clock.call_later(seconds, partial(self._try_again, seconds))
        self._tell(key, served)

    def _try_again(self, seconds: float) -> None:
        del self._retries[seconds]
        for (key, _), served in self._served.items():
            if served.problem and not served.is_foreign:
                self._mark(key)

    def _tell(self, key: Key, served: Served) -> None:
        """Says on the Service or pod what went wrong, once, and when it is over."""
        status = served.status
        before = self._told.get((key, status.frontend), "")
        problem = "" if served.is_quiet else status.problem
        owner = self._owner(key)
        if problem == before or owner is None:
            return
        self._told[key, status.frontend] = problem
        port = f'port "{status.port.name}"' if status.port.name else f"port {status.port.port}"
        if not problem:
            self._recorder.event(owner, "Normal", "Listening", f"Listening on {status.frontend} for {port}")
            return
        text = f"Cannot listen on {status.frontend} for {port}: {problem}."
        if status.address is not None:
            text += f" {status.address[0]}:{status.address[1]} stands in for it."
        self._recorder.event(owner, "Warning", "FailedToListen", text)


def _internal_address(node: Doc | None) -> str:
    """Its InternalIP, "" for a node without one."""
    addresses = ((node or {}).get("status") or {}).get("addresses") or ()
    return next((entry["address"] for entry in addresses if entry["type"] == "InternalIP"), "")

"""What works through the client: controllers, scheduler, proxy, ingress and DNS, each as the configuration has it.

They know nothing of one another; here they are made, started in one task group, waited for until pods can be had, and
looked up by those who crash or question them. Nodes are the one thing beside them (`nodes`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import attrs
from anyio.abc import TaskGroup

from minik8s.api.inert import filtered
from minik8s.apiserver.aggregation.availability import keep_watch
from minik8s.apiserver.context import ServerContext
from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.client.informer import Informers
from minik8s.clock import Clock
from minik8s.config import ClusterConfig
from minik8s.controllers import controllers
from minik8s.controllers.manager import ControllerManager
from minik8s.controllers.runtime import Context
from minik8s.controlplane import ProxiedResolver, ingress_address
from minik8s.credentials import Credentials
from minik8s.dns import DNS_POD, MACHINE_NAMES, dns_address
from minik8s.faults import Component
from minik8s.nodes import NodePool
from minik8s.proxy.guard import Guard
from minik8s.proxy.networkpolicy import Party
from minik8s.proxy.policing import Policing
from minik8s.proxy.proxier import Proxier
from minik8s.proxy.servicemap import Endpoint
from minik8s.scheduler.options import read_options
from minik8s.scheduler.scheduler import Scheduler

if TYPE_CHECKING:
    from minik8s.dns.server import DnsServer
    from minik8s.ingress import IngressController


@attrs.define(slots=False, kw_only=True)
class Components:
    """The components of one cluster; what its options leave out is None."""

    config: ClusterConfig
    server: ServerContext
    credentials: Credentials
    directory: Path
    client: Client
    informers: Informers
    clock: Clock
    rng: Random
    recorders: Recorders
    nodes: NodePool
    manager: ControllerManager = attrs.field(init=False)
    scheduler: Scheduler | None = attrs.field(init=False, default=None)
    proxier: Proxier | None = attrs.field(init=False, default=None)
    policing: Policing | None = attrs.field(init=False, default=None)
    dns: DnsServer | None = attrs.field(init=False, default=None)
    ingress: IngressController | None = attrs.field(init=False, default=None)

    def start(self, group: TaskGroup) -> None:
        """Starts them all, the nodes last."""
        group.start_soon(keep_watch, self.server, name="aggregation")
        group.start_soon(self.recorders.run, name="events")
        group.start_soon(self.informers.run, name="informers")
        self._manage(group)
        if self.config.scheduler not in (False, None):
            self._schedule(group)
        if self.config.proxy:
            self._proxy(group)
        if self.config.ingress:
            self._serve_ingresses(group)
        if self.config.dns:
            self._answer_names(group)
        self.nodes.start(group)

    def crashable(self, group: TaskGroup) -> dict[str, Component]:
        """What can crash, and begin anew in the group, by name."""
        found = {
            name: Component(partial(self.manager.crash, name), partial(self.manager.begin, name))
            for name in self.manager.names
        }
        if self.scheduler is not None:
            found["scheduler"] = Component(self._stop_scheduler, partial(self._schedule, group))
        return found

    async def ready(self) -> None:
        """Returns when those answer that others ask."""
        for asked in (self.dns, self.ingress):
            if asked is not None:
                await asked.ready.wait()

    def _manage(self, group: TaskGroup) -> None:
        config, server = self.config, self.server
        context = Context(
            *(self.client, self.informers, self.clock, self.rng, self.recorders),
            strict=config.strict,
            root_ca=self.credentials.root_ca,
            keys=self.credentials,
            resources=lambda: server.registry.known,
            stale=lambda: server.remotes.stale,
            volumes=self.directory / "volumes",
            load_balancers=config.load_balancer_cidr,
        )
        self.manager = ControllerManager(context, controllers(config.controllers))
        group.start_soon(self.manager.run, name="controllers")

    def _schedule(self, group: TaskGroup) -> None:
        configuration, plugins = read_options(self.config.scheduler)
        common = (self.client, self.informers, self.clock, self.rng, self.recorders)
        self.scheduler = Scheduler(*common, configuration, plugins=plugins)
        group.start_soon(self.scheduler.run, name="scheduler")

    def _stop_scheduler(self) -> None:
        assert self.scheduler is not None
        self.scheduler.stop()

    def _proxy(self, group: TaskGroup) -> None:
        config, network = self.config, self.nodes.network
        guard = None if network is None else Guard(self.informers, self._stand_ins)
        common = (self.informers, self.clock, self.recorders)
        real = config.runtime != "simulated"
        self.proxier = Proxier(*common, network=network, guard=guard, host_ports=real)
        group.start_soon(self.proxier.run, name="proxy")
        if network is not None and guard is not None:
            self.server.inert = filtered(self.nodes.why_unfiltered)
            self.server.resolver = ProxiedResolver(self.server.resolver, self.proxier.address_of)
            if not self.nodes.why_unfiltered:
                self.policing = Policing(self.informers, self.clock, guard, network, self.proxier.serves)
                group.start_soon(self.policing.run, name="network policies")

    def _stand_ins(self) -> dict[Endpoint, tuple[Party, int]]:
        """Policies know cluster DNS, which is no pod here, by the labels that it has everywhere."""
        if self.dns is None:
            return {}
        address = dns_address(self.config.service_cidr)
        return {Endpoint(*self.dns.address): (Party(address, DNS_POD), 53)}

    def _serve_ingresses(self, group: TaskGroup) -> None:
        from minik8s.ingress import IngressController

        authority, host = self.credentials.authority, ingress_address(self.config)
        common = (self.client, self.informers, self.clock)
        self.ingress = IngressController(*common, self.nodes.connect, authority, host)
        group.start_soon(self.ingress.run, name="ingress")

    def _answer_names(self, group: TaskGroup) -> None:
        from minik8s.dns.server import DnsServer

        address = dns_address(self.config.service_cidr)
        hosts = dict.fromkeys(MACHINE_NAMES, self.nodes.machine) if self.nodes.machine else {}
        self.dns = DnsServer(self.client, self.informers, address, port=self.config.dns_port, hosts=hosts)
        group.start_soon(self.dns.run, name="dns")

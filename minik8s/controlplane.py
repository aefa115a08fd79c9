"""The API server of a cluster, put together from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network
from random import Random

import attrs

from minik8s.api.request import ADMIN
from minik8s.api.resources import IP_ADDRESSES, SERVICE_CIDRS, SERVICES
from minik8s.api.users import ANONYMOUS
from minik8s.apiserver.admission import builtin_plugins
from minik8s.apiserver.allocation import ServiceAllocator
from minik8s.apiserver.audit import AuditLog
from minik8s.apiserver.authorization import AlwaysAllow
from minik8s.apiserver.authorization.node import NodeAuthorizer
from minik8s.apiserver.authorization.rbac import RBACAuthorizer
from minik8s.apiserver.codec import DocumentCodec
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.registry import Registry
from minik8s.apiserver.serviceresolver import ServiceResolver
from minik8s.apiserver.tokens import TokenIssuer
from minik8s.clock import Clock
from minik8s.config import ClusterConfig
from minik8s.store import MemoryStore

_ENDED_BY = {"ServiceAccount": "serviceaccount", "TaintNodesByCondition": "nodelifecycle"}
"""Admission plugins that hold something back, each with the controller that ends the wait.

Without the controller the wait would never end, so the plugin is left out, as test control planes do.
"""


def server_context(
    config: ClusterConfig, clock: Clock, rng: Random, tokens: TokenIssuer, origin: MemoryStore | None = None
) -> ServerContext:
    """The parts of an API server that nobody has started yet; it takes `origin` over, with what is in it."""
    registry = Registry()
    codec = DocumentCodec(registry.indexed, frozen=config.freeze)
    disabled = {plugin for plugin, controller in _ENDED_BY.items() if controller not in config.controllers}
    store = origin or MemoryStore(codec, history=config.history)
    store.adopt(codec, config.history)
    services = ServiceAllocator(config.service_cidr, config.node_port_range, rng)
    kinds = (SERVICES, IP_ADDRESSES, SERVICE_CIDRS)
    services.remember(entry.value for kind in kinds for entry in store.scan((kind.group_resource,)))
    return ServerContext(
        store=store,
        authorizer=NodeAuthorizer(store, RBACAuthorizer(store)) if config.rbac else AlwaysAllow(),
        registry=registry,
        clock=clock,
        rng=rng,
        plugins=builtin_plugins(rng, disabled=disabled),
        services=services,
        tokens=tokens,
        seats=config.max_requests_inflight + config.max_mutating_requests_inflight,
        audit=AuditLog(config.audit_events, rng, clock),
        anonymous=ANONYMOUS if config.tls else ADMIN,  # client-go sends no credentials over plain HTTP
    )


def ingress_address(config: ClusterConfig) -> str:
    """The first of the addresses that load balancers get."""
    return str(IPv4Network(config.load_balancer_cidr)[1])


@attrs.frozen
class ProxiedResolver:
    """Where Services answer for a server outside the pods' network: what the proxy opened for them on the machine.

    `address_of` is the proxy's and raises LookupError; whether there is anybody to answer is `endpoints`' to say.
    """

    endpoints: ServiceResolver
    address_of: Callable[[str, str, int], tuple[str, int]]

    def address(self, namespace: str, name: str, port: int) -> tuple[str, int]:
        """See `ServiceResolver`."""
        endpoint = self.endpoints.address(namespace, name, port)
        try:
            return self.address_of(namespace, name, port)
        except LookupError:
            return endpoint

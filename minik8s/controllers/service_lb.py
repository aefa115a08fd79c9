"""Gives Services of type LoadBalancer an address: what a cloud's controller manager does elsewhere.

The balancer itself is the proxy, which serves every address that stands in a Service's status. So this controller
chooses addresses of a network that is the machine's own, and keeps the finalizer that gives them back in an orderly
way. Upstream: `k8s.io/cloud-provider/controllers/service`; like there, a change of the status alone is no reason to
act, so that somebody else may write it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import NODES, SERVICES
from minik8s.client.informer import Handler, Informer
from minik8s.client.lister import Key, key_of
from minik8s.controllers import service_lb_plan as plan
from minik8s.controllers.runtime import Context, Reconciler, TryAgain
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, Obj, name_of, namespace_of, revision_of

BALANCED = "balancer"
"""Index of Services by the addresses of their balancers."""


class ServiceLBController(Reconciler[Any]):
    """One worker: it chooses addresses, and two of them must not choose the same."""

    name: ClassVar[str] = "service-lb"
    component: ClassVar[str] = "service-controller"
    resource: ClassVar[Resource[Any]] = SERVICES
    wakes: ClassVar[tuple[Resource[Any], ...]] = (SERVICES,)
    workers: ClassVar[int] = 1

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.informer.add_index(BALANCED, plan.addresses_of)
        self._nodes = self.informers(NODES)
        self._network = IPv4Network(context.load_balancers)
        self._balanced: set[Key] = set()
        self._hosts: frozenset[str] | None = None

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        return plan.wants(obj) or plan.needs_cleanup(obj)

    def handlers(self) -> Iterable[tuple[Informer[Any], Handler[Any]]]:
        yield from super().handlers()
        yield self._nodes, self._on_node

    def _on_object(self, old: Doc | None, new: Doc | None) -> None:
        if new is None:
            if old is not None:
                self._balanced.discard(key_of(old))
            return
        wanted, said = (self.concerned_with(new), None) if old is None else plan.change(old, new)
        if said is not None:
            self.recorder.event(new, "Normal", *said)
        if wanted or plan.needs_cleanup(new):
            self.enqueue(new)

    def _on_node(self, old: Doc | None, new: Doc | None) -> None:
        """A node that comes or goes changes who the balancers send traffic to."""
        before, now = (plan.hosts(node for node in (obj,) if node is not None) for obj in (old, new))
        if before != now and self._hosts is not None:
            self._update_hosts()

    def _update_hosts(self) -> None:
        hosts = plan.hosts(self._nodes.lister.all())
        if hosts == self._hosts:
            return
        self._hosts = hosts
        for namespace, name in sorted(self._balanced):
            if (service := self.lister.get(name, namespace)) is not None:
                self._tell_hosts(service, hosts)

    def _tell_hosts(self, service: Doc, hosts: frozenset[str]) -> None:
        if hosts:
            text = "Updated load balancer with new hosts"
            self.recorder.event(service, "Normal", "UpdatedLoadBalancer", text)
        else:
            self._tell_nobody(service)

    def _tell_nobody(self, service: Doc) -> None:
        text = "There are no available nodes for LoadBalancer"
        self.recorder.event(service, "Warning", "UnAvailableLoadBalancer", text)

    async def reconcile(self, obj: Doc) -> None:
        if plan.wants(obj) and not plan.needs_cleanup(obj):
            await self._ensure(obj)
        elif plan.needs_cleanup(obj) or key_of(obj) in self._balanced:
            await self._remove(obj)

    async def _ensure(self, service: Doc) -> None:
        self.recorder.event(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
        service = await self._hold(service, held=True)
        self._hosts = plan.hosts(self._nodes.lister.all()) if self._hosts is None else self._hosts
        if not self._hosts:
            self._tell_nobody(service)
        try:
            address = plan.choose(service, self._taken(service), self._network, self.rng)
        except LookupError as error:
            text = f"Error syncing load balancer: failed to ensure load balancer: {error}"
            self.recorder.event(service, "Warning", "SyncLoadBalancerFailed", text)
            raise TryAgain from None
        self._balanced.add(key_of(service))
        self.recorder.event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        await self._write(service, plan.status_of(address))

    def _taken(self, service: Doc) -> list[str]:
        """The addresses of the other Services."""
        addresses, key = self.lister.index_values(BALANCED), key_of(service)
        return [a for a in addresses if any(key_of(s) != key for s in self.lister.by_index(BALANCED, a))]

    async def _remove(self, service: Doc) -> None:
        if plan.addresses_of(service) or key_of(service) in self._balanced:
            self.recorder.event(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")
        self._balanced.discard(key_of(service))
        with suppress(NotFound):  # the finalizer may have been the last
            service = await self._hold(service, held=False)
            self.recorder.event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")
            await self._write(service, {})

    async def _hold(self, service: Doc, *, held: bool) -> Any:
        return await self._patch(service, plan.finalizer_patch(service, held=held))

    async def _write(self, service: Doc, balancer: Obj) -> None:
        current = (service.get("status") or {}).get("loadBalancer") or {}
        patch = None if current == balancer else {"status": {"loadBalancer": {"ingress": balancer.get("ingress")}}}
        written = await self._patch(service, patch)
        await self.lister.caught_up(revision_of(written))

    async def _patch(self, service: Doc, patch: Obj | None) -> Any:
        """By the status subresource, which is all that this controller may write, finalizers included."""
        if patch is None:
            return service
        return await self.client.patch(
            SERVICES, name_of(service), patch, namespace=namespace_of(service), type="strategic", subresource="status"
        )

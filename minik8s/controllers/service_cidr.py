"""ServiceCIDRs are ready as soon as they are there, and stay while a Service has an address of them.

Upstream: `pkg/controller/servicecidrs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import IP_ADDRESSES, SERVICE_CIDRS
from minik8s.client.lister import Key, key_of
from minik8s.controllers.runtime import Context, Reconciler, Requeue, Watch, mapped
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import (
    Doc,
    Obj,
    evolve,
    is_terminating,
    labels_of,
    name_of,
    parse_time,
    rfc3339,
    set_condition,
)

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
MANAGED_BY, ALLOCATOR = "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io"
GRACE = 10.0
"""Seconds after its deletion for which a ServiceCIDR without addresses stays: an allocator may not know yet."""
READY: Obj = {"type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}
TERMINATING: Obj = {
    "type": "Ready",
    "status": "False",
    "reason": "Terminating",
    "message": (
        "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
    ),
}


def is_needed(cidr: Doc, others: Iterable[Doc], addresses: Iterable[str]) -> bool:
    """Whether an address would belong to no ServiceCIDR without this one; `others` are all but it."""
    mine = [ip_network(text, strict=False) for text in cidr["spec"].get("cidrs") or ()]
    rest = [ip_network(text, strict=False) for other in others for text in other["spec"].get("cidrs") or ()]
    parsed = [ip_address(text) for text in addresses]
    return any(any(ip in net for net in mine) and not any(ip in net for net in rest) for ip in parsed)


def time_left(cidr: Doc, now: datetime) -> float:
    """Seconds until a deleted one may go, if nothing needs it."""
    return GRACE - (now - parse_time(cidr["metadata"]["deletionTimestamp"])).total_seconds()


class ServiceCIDRController(Reconciler[Any]):
    """The default one is ready by the API server's own doing, and no reason to begin."""

    name: ClassVar[str] = "service-cidr"
    component: ClassVar[str] = "service-cidrs-controller"
    resource: ClassVar[Resource[Any]] = SERVICE_CIDRS
    watches: ClassVar[tuple[Watch, ...]] = (mapped(IP_ADDRESSES, "_going"),)
    wakes: ClassVar[tuple[Resource[Any], ...]] = (SERVICE_CIDRS,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._addresses = self.informers(IP_ADDRESSES).lister

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        held = FINALIZER in (obj["metadata"].get("finalizers") or ())
        return is_terminating(obj) or not held or obj.get("status", {}).get("conditions") in (None, [])

    def _going(self, _: Doc) -> Sequence[Key]:
        """An address that comes or goes matters only to those that wait to go."""
        return [key_of(cidr) for cidr in self.lister.all() if is_terminating(cidr)]

    def _on_object(self, old: Doc | None, new: Doc | None) -> None:
        super()._on_object(old, new)
        if old is None or new is None:  # its addresses may be another's now
            for key in self._going({}):
                self.queue.add(key)

    async def reconcile(self, obj: Doc) -> Requeue | None:
        if not is_terminating(obj):
            obj = await self._hold(obj, held=True)
            await self._say(obj, READY)
            return None
        if is_needed(obj, self._others(obj), self._allocated()):
            await self._say(obj, TERMINATING)
            return None
        left = time_left(obj, self.clock.now())
        if left > 0:
            return Requeue(left)
        with suppress(NotFound):
            await self._hold(obj, held=False)
        return None

    def _others(self, cidr: Doc) -> list[Any]:
        return [other for other in self.lister.all() if name_of(other) != name_of(cidr)]

    def _allocated(self) -> list[str]:
        return [name_of(ip) for ip in self._addresses.all() if labels_of(ip).get(MANAGED_BY) == ALLOCATOR]

    async def _hold(self, cidr: Doc, *, held: bool) -> Any:
        if (FINALIZER in (cidr["metadata"].get("finalizers") or ())) == held:
            return cidr
        patch = {"metadata": {"finalizers" if held else "$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
        return await self.client.patch(SERVICE_CIDRS, name_of(cidr), patch, type="strategic")

    async def _say(self, cidr: Doc, condition: Obj) -> None:
        conditions = (cidr.get("status") or {}).get("conditions")
        changed = set_condition(conditions, condition, rfc3339(self.clock.now()))
        if changed != conditions:
            await self.client.update_status(SERVICE_CIDRS, evolve(cidr, "status", "conditions", value=changed))

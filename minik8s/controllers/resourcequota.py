"""The resourcequota controller: keeps `status.used` of every ResourceQuota.

Upstream: pkg/controller/resourcequota. Only the kinds that some quota counts are watched, from the moment the first
such quota is seen: a cluster without quotas pays nothing. What an object counts for is decided in `api.quota`, which
the admission plugin asks as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from minik8s.api.pods import ResourceAmounts
from minik8s.api.quota import applies_to, overstays_at, quota_hard, usage_of
from minik8s.api.resource import Resource
from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_QUOTAS, SERVICES
from minik8s.client.lister import key_of
from minik8s.controllers.runtime import Context, Reconciler, Requeue
from minik8s.machinery.meta import Doc, Obj, namespace_of
from minik8s.machinery.quantity import ZERO

RESYNC_SECONDS = 300.0
"""Upstream's --resource-quota-sync-period."""
_COUNT = "count/"


def counted_resources(hard: Iterable[str], resources: Sequence[Resource[Any]]) -> list[Resource[Any]]:
    """The namespaced resources whose objects count for the given names."""
    found: dict[str, Resource[Any]] = {}
    known = {r.group_resource: r for r in reversed(resources) if r.namespaced and "watch" in r.verbs}
    for name in hard:
        group_resource = _group_resource(name)
        if group_resource in known:
            found[group_resource] = known[group_resource]
    return list(found.values())


def _group_resource(name: str) -> str:
    if name.startswith(_COUNT):
        return name.removeprefix(_COUNT)
    if name.split(".", 1)[0] == "services":
        return SERVICES.group_resource
    if name.endswith(("requests.storage", ".storageclass.storage.k8s.io/persistentvolumeclaims")):
        return PERSISTENT_VOLUME_CLAIMS.group_resource
    if name in ("configmaps", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas", "secrets"):
        return name
    return PODS.group_resource


def plan(quota: Doc, objects: Iterable[tuple[Resource[Any], Doc]], now: datetime) -> tuple[Obj, float]:
    """The quota's status, given everything in its namespace that may count, and for how many seconds it holds."""
    hard = quota_hard(quota)
    used: ResourceAmounts = dict.fromkeys(hard, ZERO)
    recheck = RESYNC_SECONDS
    for resource, obj in objects:
        if not applies_to(quota, resource, obj):
            continue
        for name, amount in usage_of(resource, obj, now).items():
            if name in used:
                used[name] = used[name] + amount
        if (gone := overstays_at(resource, obj)) is not None and gone >= now:
            recheck = min(recheck, (gone - now).total_seconds() + 1)
    status = {
        "hard": dict(quota["spec"].get("hard") or {}),
        "used": {name: str(amount) for name, amount in used.items()},
    }
    return status, recheck


class ResourceQuotaController(Reconciler[Any]):
    name: ClassVar[str] = "resourcequota"
    component: ClassVar[str] = "resourcequota-controller"
    resource: ClassVar[Resource[Any]] = RESOURCE_QUOTAS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (RESOURCE_QUOTAS,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._resources = context.resources
        self._followed: set[Resource[Any]] = set()

    async def reconcile(self, quota: Any) -> Requeue | None:
        namespace = namespace_of(quota)
        objects: list[tuple[Resource[Any], Doc]] = []
        for resource in counted_resources(quota["spec"].get("hard") or (), self._resources()):
            await self._follow(resource)
            objects += [(resource, obj) for obj in self.informers(resource).lister.all(namespace)]
        status, recheck = plan(quota, objects, self.clock.now())
        await self.write_status(quota, status)
        return Requeue.after(recheck)

    async def _follow(self, resource: Resource[Any]) -> None:
        """Looks again at a namespace's quotas whenever an object of this resource changes there."""
        informer = self.informers(resource)
        await informer.synced()
        if resource not in self._followed:
            self._followed.add(resource)
            informer.add_handler(self._object_changed)

    def _object_changed(self, old: Any, new: Any) -> None:
        obj = old if new is None else new
        for quota in self.lister.all(namespace_of(obj)):
            self.queue.add(key_of(quota))

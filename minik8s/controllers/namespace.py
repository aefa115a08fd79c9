"""Empties namespaces that are being deleted, and lets them go.

A namespace that is deleted stays, Terminating, until nothing is left in it; this controller deletes everything that
is listed there, pods first, says in the conditions what it still waits for, and at last takes its finalizer off.
Upstream: `pkg/controller/namespace`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minik8s.api.resource import Resource
from minik8s.api.resources import NAMESPACES, PODS
from minik8s.client.lister import Key
from minik8s.controllers import namespace_plan as plan
from minik8s.controllers.runtime import Context, Reconciler, Requeue, mapped
from minik8s.machinery.errors import ApiError, MethodNotAllowed, NotFound
from minik8s.machinery.meta import Doc, evolve, is_terminating, name_of, namespace_of, parse_time, uid_of


class NamespaceController(Reconciler[Any]):
    """Terminating namespaces; a pod that ends in one wakes it, so that nobody waits out a grace period for nothing."""

    name = "namespace"
    component = "namespace-controller"
    resource = NAMESPACES
    watches = (mapped(PODS, "_waiting_for"),)
    workers = 10

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._looks: dict[str, int] = {}

    def _waiting_for(self, pod: Doc) -> tuple[Key, ...]:
        name = namespace_of(pod)
        namespace = self.lister.get(name)
        return (("", name),) if namespace is not None and is_terminating(namespace) else ()

    async def deleted(self, namespace: str, name: str) -> None:
        self._looks.pop(name, None)

    async def reconcile(self, obj: Doc) -> Requeue | None:
        if not is_terminating(obj) or plan.FINALIZER not in (obj["spec"].get("finalizers") or ()):
            return None
        name, deleted_at = name_of(obj), parse_time(obj["metadata"]["deletionTimestamp"])
        findings, stale = await self._empty(obj), self.context.stale()
        obj = await self._report(obj, findings, stale)
        if plan.is_empty(findings) and not stale:
            left = [finalizer for finalizer in obj["spec"]["finalizers"] if finalizer != plan.FINALIZER]
            await self.client.update(NAMESPACES, evolve(obj, "spec", "finalizers", value=left), subresource="finalize")
            return None
        looks = self._looks.get(name, 0)
        self._looks[name] = looks + 1
        return Requeue(plan.look_again(findings, deleted_at, self.clock.now(), looks, stale=bool(stale)))

    async def _empty(self, obj: Doc) -> list[plan.Findings]:
        """Deletes what is there; while pods are left everything else waits."""
        findings: list[plan.Findings] = []
        for resource in plan.deletable(self.context.resources()):
            found = await self._delete(resource, obj)
            findings.append(found)
            if resource is PODS and not plan.is_empty([found]):
                break
        return findings

    async def _delete(self, resource: Resource[Any], obj: Doc) -> plan.Findings:
        name, deleted_at = name_of(obj), parse_time(obj["metadata"]["deletionTimestamp"])
        try:
            items = (await self.client.list(resource, namespace=name)).items
            if items:
                await self._delete_items(resource, name, items)
                items = (await self.client.list(resource, namespace=name)).items
        except NotFound:
            return plan.Findings(resource)  # the resource itself is gone
        except ApiError as error:
            return plan.failed(resource, error)
        return plan.judge(resource, items, deleted_at, self.clock.now())

    async def _delete_items(self, resource: Resource[Any], namespace: str, items: list[Any]) -> None:
        try:
            if "deletecollection" in resource.verbs:
                await self.client.delete_all(resource, namespace=namespace)
                return
        except MethodNotAllowed:
            pass
        for item in items:
            try:
                await self.client.delete(resource, name_of(item), namespace=namespace, uid=uid_of(item))
            except NotFound:
                continue

    async def _report(self, obj: Doc, findings: list[plan.Findings], stale: Sequence[str]) -> Doc:
        status = obj.get("status") or {}
        conditions = plan.conditions(status.get("conditions"), findings, self.clock.now(), stale)
        wanted = {**status, "phase": "Terminating", "conditions": conditions}
        if wanted == status:
            return obj
        updated: Doc = await self.client.update_status(NAMESPACES, {**obj, "status": wanted})
        return updated

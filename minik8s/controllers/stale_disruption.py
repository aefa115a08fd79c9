"""Takes back the condition DisruptionTarget of pods that were to be evicted and are still there two minutes later.

Whoever sets the condition deletes the pod next; when that did not happen, a Job must not take the pod's later failure
for a disruption. Upstream: `pkg/controller/disruption/disruption.go`, syncStalePodDisruption.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minik8s.api.pods import is_terminal
from minik8s.api.resource import Resource
from minik8s.api.resources import PODS
from minik8s.controllers.runtime import Reconciler, Requeue
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import (
    Doc,
    find_condition,
    is_terminating,
    name_of,
    namespace_of,
    parse_time,
    rfc3339,
    uid_of,
)

TIMEOUT = 120.0
"""Seconds (stalePodDisruptionTimeout)."""


class StaleDisruptionController(Reconciler[Any]):
    name: ClassVar[str] = "stale-pod-disruption"
    component: ClassVar[str] = "controllermanager"
    account: ClassVar[str] = "disruption-controller"
    resource: ClassVar[Resource[Any]] = PODS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (PODS,)
    workers: ClassVar[int] = 1

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        return _disrupted(obj) is not None

    def _on_object(self, old: Doc | None, new: Doc | None) -> None:
        if new is not None and _disrupted(new) is not None:
            self.enqueue(new)

    async def reconcile(self, pod: Any) -> Requeue | None:
        condition = _disrupted(pod)
        if condition is None:
            return None
        now = self.clock.now()
        left = TIMEOUT - (now - parse_time(condition["lastTransitionTime"])).total_seconds()
        if left > 0:
            return Requeue(left)
        over = {"type": "DisruptionTarget", "status": "False", "lastTransitionTime": rfc3339(now)}
        patch = {
            "metadata": {"uid": uid_of(pod)},
            "status": {"conditions": [{**over, "reason": None, "message": None}]},
        }
        try:
            await self.client.patch(
                PODS, name_of(pod), patch, namespace=namespace_of(pod), type="strategic", subresource="status"
            )
        except NotFound:
            return None
        return None


def _disrupted(pod: Doc) -> Doc | None:
    """The condition of a pod that is marked for disruption and neither goes nor has ended."""
    conditions = (pod.get("status") or {}).get("conditions")
    if not conditions or is_terminating(pod) or is_terminal(pod):
        return None
    found = find_condition(conditions, "DisruptionTarget")
    return found if found is not None and found.get("status") == "True" else None

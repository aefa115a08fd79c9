"""The endpointslice controller: keeps the EndpointSlices of every Service with a selector.

Upstream: `pkg/controller/endpointslice`. What is decided stands in `endpointslice_plan`; here it is carried out, and
the worker waits until its cache has seen what it wrote, so that the next pass does not plan the same slices twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minik8s.api.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from minik8s.client.lister import Key, key_of
from minik8s.controllers import endpointslice_writes, service_endpoints
from minik8s.controllers import topologycache_plan as topology
from minik8s.controllers.endpointslice_plan import is_managed, plan_slices
from minik8s.controllers.runtime import Context, Reconciler, Requeue, mapped
from minik8s.controllers.service_pods import ServicePods
from minik8s.machinery.errors import AlreadyExists, ApiError, Conflict, NotFound
from minik8s.machinery.meta import Doc, controller_of, labels_of, name_of, namespace_of


class EndpointSliceController(Reconciler[Any]):
    """Keyed by Service. Slices made by hand or by another controller are never touched."""

    name = "endpointslice"
    component = "endpointslice-controller"
    resource = SERVICES
    watches = (mapped(PODS, "services_of_pod"), mapped(ENDPOINT_SLICES, "service_of_slice"), mapped(NODES, "waiting"))

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        slices = self.informers(ENDPOINT_SLICES)
        slices.add_index("service", service_endpoints.by_service)
        self._slices = slices.lister
        self._nodes = self.informers(NODES).lister
        self._pods = ServicePods(self.informers)
        self._triggers = service_endpoints.TriggerTimes()
        self._waiting: dict[Key, None] = {}  # Services with pods on nodes that are not known (yet)
        self._ratios: topology.Ratios | None = None
        self._ratios_known = False
        self._zones: dict[Key, Mapping[str, Mapping[str, int]]] = {}  # Services with hints by topology-mode Auto

    def handlers(self) -> Iterable[Any]:
        yield from super().handlers()
        yield self.informers(NODES), self._on_node

    def _on_node(self, old: Doc | None, new: Doc | None) -> None:
        """When zones have gained or lost nodes, Services look again of which a zone has too few endpoints now."""
        if not self._ratios_known or (old and topology.counts(old)) == (new and topology.counts(new)):
            return
        self._ratios_known = False
        for key, families in self._zones.items():
            if any(topology.is_overloaded(zones, self._cpu_ratios()) for zones in families.values()):
                self.queue.add(key)

    def _cpu_ratios(self) -> topology.Ratios | None:
        if not self._ratios_known:
            self._ratios, self._ratios_known = topology.cpu_ratios(self._nodes.all()), True
        return self._ratios

    def services_of_pod(self, pod: Doc) -> Iterable[Key]:
        return self._pods.selecting(pod)

    def service_of_slice(self, slice_: Doc) -> Iterable[Key]:
        name = labels_of(slice_).get(service_endpoints.SERVICE_NAME_LABEL, "")
        return self._pods.service_named(slice_, name) if is_managed(slice_) else ()

    def waiting(self, _node: Doc) -> Iterable[Key]:
        return list(self._waiting)

    async def reconcile(self, obj: Any) -> Requeue | None:
        if not service_endpoints.has_endpoints(obj):
            return None
        key = key_of(obj)
        pods = self._pods.selected_by(obj)
        names = {pod["spec"].get("nodeName", "") for pod in pods}
        nodes = {name: node for name in names if (node := self._nodes.get(name)) is not None}
        trigger = self._triggers.observe(obj, pods)
        ratios = self._cpu_ratios() if topology.is_auto(obj) else None
        hinted = key in self._zones
        plan = plan_slices(obj, pods, self._managed(*key), nodes, trigger_time=trigger, ratios=ratios, hinted=hinted)
        self._waiting.pop(key, None)
        if plan.missing_nodes:
            self._waiting[key] = None
        try:
            await endpointslice_writes.carry_out(self.client, self._slices, plan)
        except (AlreadyExists, Conflict, NotFound):
            raise  # the cache was behind
        except ApiError as error:
            if service_endpoints.is_namespace_terminating(error):
                return None
            text = f"Error updating Endpoint Slices for Service {namespace_of(obj)}/{name_of(obj)}: {error.message}"
            self.recorder.event(obj, "Warning", "FailedToUpdateEndpointSlices", text)
            raise
        self._zones.pop(key, None)
        if plan.zones:
            self._zones[key] = plan.zones
        for kind, reason, message in plan.events:
            self.recorder.event(obj, "Warning" if kind == "Warning" else "Normal", reason, message)
        return None

    async def deleted(self, namespace: str, name: str) -> None:
        """Deletes the slices that the Service still owns; orphaned ones (without its reference) stay."""
        self._triggers.forget(namespace, name)
        self._waiting.pop((namespace, name), None)
        self._zones.pop((namespace, name), None)
        for slice_ in self._managed(namespace, name):
            if (controller_of(slice_) or {}).get("kind") == SERVICES.kind:
                await endpointslice_writes.delete(self.client, slice_)

    def _managed(self, namespace: str, name: str) -> list[Any]:
        return [s for s in self._slices.by_index("service", f"{namespace}/{name}") if is_managed(s)]

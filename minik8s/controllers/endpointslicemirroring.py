"""Mirrors Endpoints that were made by hand into EndpointSlices, which is what proxies and DNS read.

Only those of a Service without a selector: the others have slices by the endpointslice controller. Upstream:
`pkg/controller/endpointslicemirroring`; what is decided stands in `endpointslicemirroring_plan`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from minik8s.client.lister import Key, key_of
from minik8s.controllers import endpointslice_writes
from minik8s.controllers import endpointslicemirroring_plan as plan
from minik8s.controllers.endpoint_plan import MANAGED_BY_LABEL
from minik8s.controllers.runtime import Context, Reconciler, Watch, mapped
from minik8s.controllers.service_endpoints import SERVICE_NAME_LABEL, by_service, is_namespace_terminating
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, labels_of, name_of, namespace_of


class EndpointSliceMirroringController(Reconciler[Any]):
    """Keyed by Endpoints, whose name is that of their Service."""

    name: ClassVar[str] = "endpointslicemirroring"
    component: ClassVar[str] = "endpoint-slice-mirroring-controller"
    account: ClassVar[str] = "endpointslicemirroring-controller"
    resource: ClassVar[Resource[Any]] = ENDPOINTS
    watches: ClassVar[tuple[Watch, ...]] = (mapped(SERVICES, "_of_service"), mapped(ENDPOINT_SLICES, "_of_slice"))
    wakes: ClassVar[tuple[Resource[Any], ...]] = (ENDPOINTS, ENDPOINT_SLICES, SERVICES)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        slices = self.informers(ENDPOINT_SLICES)
        slices.add_index("service", by_service)
        self._slices = slices.lister
        self._services = self.informers(SERVICES).lister

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        """Endpoints made by hand, mirrors, and Services without a selector, of which every cluster has one."""
        if obj["kind"] == SERVICES.kind:
            return not obj["spec"].get("selector") and key_of(obj) != ("default", "kubernetes")
        if obj["kind"] == ENDPOINTS.kind:
            return plan.should_mirror(obj) and MANAGED_BY_LABEL not in labels_of(obj)
        return plan.is_mirror(obj)

    def _on_object(self, old: Doc | None, new: Doc | None) -> None:
        if any(obj is not None and plan.should_mirror(obj) and self._may_have_mirrors(obj) for obj in (old, new)):
            super()._on_object(old, new)

    def _may_have_mirrors(self, endpoints: Doc) -> bool:
        """Endpoints of Services with a selector change with every pod, and are worth no pass."""
        service = self._services.get(name_of(endpoints), namespace_of(endpoints))
        with_selector = service is not None and service["spec"].get("selector")
        return not with_selector or bool(self._mirrors(namespace_of(endpoints), name_of(endpoints)))

    def _of_service(self, service: Doc) -> Iterable[Key]:
        return () if service["spec"].get("selector") else (key_of(service),)

    def _of_slice(self, slice_: Doc) -> Iterable[Key]:
        name = labels_of(slice_).get(SERVICE_NAME_LABEL)
        return ((namespace_of(slice_), name),) if name and plan.is_mirror(slice_) else ()

    async def deleted(self, namespace: str, name: str) -> None:
        for slice_ in self._mirrors(namespace, name):
            await endpointslice_writes.delete(self.client, slice_)

    async def reconcile(self, obj: Doc) -> None:
        service = self._services.get(name_of(obj), namespace_of(obj))
        if service is None or service["spec"].get("selector") or not plan.should_mirror(obj):
            await self.deleted(namespace_of(obj), name_of(obj))
            return
        todo = plan.plan_mirror(obj, self._mirrors(namespace_of(obj), name_of(obj)))
        self._tell(obj, todo)
        try:
            await endpointslice_writes.carry_out(self.client, self._slices, todo)
        except ApiError as error:
            if not is_namespace_terminating(error):
                raise

    def _tell(self, endpoints: Doc, todo: plan.MirrorPlan) -> None:
        if todo.invalid:
            text = f"Skipped {todo.invalid} invalid IP addresses when mirroring to EndpointSlices"
            self.recorder.event(endpoints, "Warning", "InvalidIPAddress", text)
        if todo.skipped > todo.invalid:
            limit = f"A max of {plan.MAX_ADDRESSES} addresses can be mirrored to EndpointSlices per Endpoints subset."
            text = f"{limit} {todo.skipped} addresses were skipped"
            self.recorder.event(endpoints, "Warning", "TooManyAddressesToMirror", text)

    def _mirrors(self, namespace: str, name: str) -> list[Any]:
        return [s for s in self._slices.by_index("service", f"{namespace}/{name}") if plan.is_mirror(s)]

"""The endpoint controller: keeps the Endpoints object of every Service with a selector.

Endpoints are deprecated in favour of EndpointSlices and still written by Kubernetes 1.36, because clients read them.
Upstream: `pkg/controller/endpoint`; what is decided stands in `endpoint_plan`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minik8s.api.resources import ENDPOINTS, PODS, SERVICES
from minik8s.client.lister import Key
from minik8s.controllers import service_endpoints
from minik8s.controllers.endpoint_plan import plan_endpoints
from minik8s.controllers.runtime import Context, Reconciler, Requeue, mapped
from minik8s.controllers.service_pods import ServicePods
from minik8s.machinery.errors import AlreadyExists, ApiError, Conflict, NotFound
from minik8s.machinery.meta import Doc, Obj, name_of, namespace_of, revision_of


class EndpointController(Reconciler[Any]):
    """Keyed by Service. Endpoints of Services without a selector are left to whoever made them."""

    name = "endpoint"
    component = "endpoint-controller"
    resource = SERVICES
    watches = (mapped(PODS, "services_of_pod"), mapped(ENDPOINTS, "service_of_endpoints"))

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._endpoints = self.informers(ENDPOINTS).lister
        self._pods = ServicePods(self.informers)
        self._triggers = service_endpoints.TriggerTimes()

    def services_of_pod(self, pod: Doc) -> Iterable[Key]:
        return self._pods.selecting(pod)

    def service_of_endpoints(self, endpoints: Doc) -> Iterable[Key]:
        return self._pods.service_named(endpoints, name_of(endpoints))

    async def reconcile(self, obj: Any) -> Requeue | None:
        if not service_endpoints.has_endpoints(obj):
            return None
        current = self._endpoints.get(name_of(obj), namespace_of(obj))
        pods = self._pods.selected_by(obj)
        trigger = self._triggers.observe(obj, pods)
        wanted = plan_endpoints(obj, pods, current, trigger_time=trigger)
        if wanted is not None:
            await self._write(obj, wanted, "Create" if current is None else "Update")
        return None

    async def deleted(self, namespace: str, name: str) -> None:
        """Deletes the Endpoints of that name, also those of a Service without a selector, as upstream does."""
        self._triggers.forget(namespace, name)
        try:
            await self.client.delete(ENDPOINTS, name, namespace=namespace)
        except NotFound:
            return

    async def _write(self, service: Doc, wanted: Obj, verb: str) -> None:
        write = self.client.create if verb == "Create" else self.client.update
        try:
            written = await write(ENDPOINTS, wanted)
        except (AlreadyExists, Conflict, NotFound):
            raise  # the cache was behind
        except ApiError as error:
            if verb == "Create" and service_endpoints.is_namespace_terminating(error):
                return
            text = f"Failed to {verb.lower()} endpoint for service {namespace_of(service)}/{name_of(service)}"
            self.recorder.event(service, "Warning", f"FailedTo{verb}Endpoint", f"{text}: {error.message}")
            raise
        await self._endpoints.caught_up(revision_of(written))

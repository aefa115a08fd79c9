"""From a Service to the pods it selects and back, through indexes.

A pod's change must not cost a look at every Service, nor a Service's pass a look at every pod: pods are found by the
rarest label of the selector, Services by one term of their selector.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minik8s.api.resources import PODS, SERVICES
from minik8s.client.lister import Key, key_of
from minik8s.controllers import service_endpoints
from minik8s.controllers.runtime import InformerSource
from minik8s.machinery.meta import Doc, labels_of, namespace_of
from minik8s.machinery.selectors import LabelSelector


class ServicePods:
    """The relation between the Services and pods in the caches."""

    def __init__(self, informers: InformerSource) -> None:
        services = informers(SERVICES)
        services.add_index("selector", service_endpoints.by_selector)
        self._services, self._pods = services.lister, informers(PODS).lister

    def selected_by(self, service: Doc) -> list[Any]:
        """The pods that the Service's selector matches; none without a selector."""
        selector = service["spec"].get("selector")
        return self._pods.select(LabelSelector.from_map(selector), namespace_of(service)) if selector else []

    def selecting(self, pod: Doc) -> Iterator[Key]:
        """The Services whose selector matches the pod."""
        for label in labels_of(pod).items():
            for service in self._services.by_index("selector", service_endpoints.label_key(pod, *label)):
                if service_endpoints.selects(service, pod):
                    yield key_of(service)

    def service_named(self, obj: Doc, name: str) -> Iterator[Key]:
        """The Service of that name in the object's namespace, if there is one.

        So what has no Service wakes nobody: it is somebody else's, and not to be cleaned up after a Service.
        """
        if name and self._services.get(name, namespace_of(obj)) is not None:
            yield namespace_of(obj), name

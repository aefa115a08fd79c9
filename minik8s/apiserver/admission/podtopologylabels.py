"""PodTopologyLabels: a pod that gets its node gets the node's zone and region as labels as well.

So that a process can learn where it runs by the downward API. Upstream: plugin/pkg/admission/podtopologylabels.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from minik8s.api.nodes import REGION, ZONE
from minik8s.api.request import ApiRequest
from minik8s.api.resources import NODES
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.meta import Doc, Obj, labels_of

LABELS = (ZONE, REGION)


class PodTopologyLabels(AdmissionPlugin):
    """See the module."""

    name: ClassVar[str] = "PodTopologyLabels"
    resources: ClassVar[Collection[str]] = ("pods", "bindings")
    stands_on: ClassVar[Collection[str]] = ()

    def must_see(self, request: ApiRequest, body: Doc) -> bool:
        """Nodes change all the time, and hardly a pod is created with one."""
        spec = body.get("spec")
        return isinstance(spec, dict) and bool(spec.get("nodeName"))

    def admit(self, attributes: Attributes, world: World) -> None:
        obj, request = attributes.object, attributes.request
        if obj is None or request.resource.group:
            return
        if request.subresource == "binding" or request.resource.plural == "bindings":
            target = obj.get("target") or {}
            node = target.get("name", "") if target.get("kind", "") in ("", "Node") else ""
        elif request.resource.plural == "pods" and not request.subresource:
            node = obj["spec"].get("nodeName", "")
            if attributes.old is not None and attributes.old["spec"].get("nodeName"):
                return
        else:
            return
        if node:
            _add(obj, node, world)


def _add(obj: Obj, node_name: str, world: World) -> None:
    node = world.get(NODES, node_name)
    if node is None:
        return
    found = labels_of(node)
    topology = {key: found[key] for key in LABELS if key in found}
    if topology:
        metadata = obj["metadata"]
        obj["metadata"] = {**metadata, "labels": {**(metadata.get("labels") or {}), **topology}}

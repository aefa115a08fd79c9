"""Access to devices that are in use already (`adminAccess`) is for namespaces that an administrator has marked.

Upstream has this check in the strategies of claims and templates (`pkg/registry/resource/utils.go`,
AuthorizedForAdmin), where it reads namespaces; here it is a plugin, for only those see the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from minik8s.api.resources import NAMESPACES
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.errors import Invalid
from minik8s.machinery.field import forbidden
from minik8s.machinery.meta import Doc, labels_of

LABEL = "resource.kubernetes.io/admin-access"
_WHY = f"admin access to devices requires the `{LABEL}: true` label on the containing namespace"


class DeviceAdminAccess(AdmissionPlugin):
    """See the module's docstring."""

    name: ClassVar[str] = "DeviceAdminAccess"
    resources: ClassVar[Collection[str]] = ("resourceclaims.resource.k8s.io", "resourceclaimtemplates.resource.k8s.io")

    def validate(self, attributes: Attributes, world: World) -> None:
        request, obj = attributes.request, attributes.object
        if obj is None or attributes.operation not in ("CREATE", "UPDATE"):
            return
        path, before = (_first(doc, request.resource.kind, request.subresource) for doc in (obj, attributes.old or {}))
        if not path or before:
            return
        namespace = world.get(NAMESPACES, request.namespace)
        if namespace is None or labels_of(namespace).get(LABEL) != "true":
            raise Invalid.object(
                request.resource.kind, request.resource.group, attributes.name, [forbidden(path, _WHY)]
            )


def _first(obj: Doc, kind: str, subresource: str) -> str:
    return next(_asked(obj, kind, subresource), "")


def _asked(obj: Doc, kind: str, subresource: str) -> Iterator[str]:
    """The paths of the fields that ask for it."""
    if subresource:
        devices = ((obj.get("status") or {}).get("allocation") or {}).get("devices") or {}
        for index, result in enumerate(devices.get("results") or ()):
            if result.get("adminAccess"):
                yield f"status.allocation.devices.results[{index}].adminAccess"
        return
    spec: Any = obj.get("spec") or {}
    claim = spec.get("spec") or {} if kind == "ResourceClaimTemplate" else spec
    for index, request in enumerate((claim.get("devices") or {}).get("requests") or ()):
        if (request.get("exactly") or {}).get("adminAccess"):
            yield f"spec.devices.requests[{index}].adminAccess"

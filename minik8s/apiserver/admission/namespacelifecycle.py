"""NamespaceLifecycle: nothing is created in a namespace that is missing or on its way out."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from minik8s.api.resources import NAMESPACES
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.errors import NotFound, StatusCause
from minik8s.machinery.meta import is_terminating

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
_REVIEWS = frozenset({"localsubjectaccessreviews.authorization.k8s.io"})
"""Questions about a namespace may be asked before it exists."""


class NamespaceLifecycle(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/namespace/lifecycle."""

    name: ClassVar[str] = "NamespaceLifecycle"
    stands_on: ClassVar[Collection[str]] = (NAMESPACES.group_resource,)

    def admit(self, attributes: Attributes, world: World) -> None:
        request = attributes.request
        if attributes.concerns("DELETE", "namespaces") and request.name in IMMORTAL:
            raise attributes.forbidden("this namespace may not be deleted")
        if not request.resource.namespaced or attributes.operation == "DELETE":
            return
        if request.resource.group_resource in _REVIEWS:
            return
        namespace = world.get(NAMESPACES, attributes.namespace)
        if namespace is None:
            raise NotFound.object("namespaces", "", attributes.namespace)
        if attributes.operation == "CREATE" and is_terminating(namespace):
            name = attributes.namespace
            cause = StatusCause("NamespaceTerminating", f"namespace {name} is being terminated", "metadata.namespace")
            why = f"unable to create new content in namespace {name} because it is being terminated"
            raise attributes.forbidden(why, [cause])

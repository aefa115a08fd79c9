"""DefaultIngressClass: an Ingress that names no class gets the one marked as default."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from minik8s.api.resources import INGRESS_CLASSES
from minik8s.apiserver.admission.defaultstorageclass import newest_default
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.meta import annotations_of, name_of

ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
_OLD_CLASS_ANNOTATION = "kubernetes.io/ingress.class"


class DefaultIngressClass(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/network/defaultingressclass."""

    name: ClassVar[str] = "DefaultIngressClass"
    resources: ClassVar[Collection[str]] = ("ingresses.networking.k8s.io",)

    def admit(self, attributes: Attributes, world: World) -> None:
        ingress = attributes.object
        if ingress is None or not attributes.concerns("CREATE", "ingresses.networking.k8s.io"):
            return
        if ingress["spec"].get("ingressClassName") is not None or _OLD_CLASS_ANNOTATION in annotations_of(ingress):
            return
        chosen = newest_default(world.list(INGRESS_CLASSES), ANNOTATION)
        if chosen is not None:
            ingress["spec"]["ingressClassName"] = name_of(chosen)

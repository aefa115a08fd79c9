"""Publishes the API server's CA to every active namespace, as ConfigMap `kube-root-ca.crt`: what pods trust.

Upstream: `pkg/controller/certificates/rootcacertpublisher/publisher.go`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from minik8s.api.resources import CONFIG_MAPS, NAMESPACES
from minik8s.client.lister import Key
from minik8s.controllers.runtime import Context, Reconciler, Requeue, mapped
from minik8s.machinery.errors import AlreadyExists
from minik8s.machinery.meta import Doc, Obj, annotations_of, is_terminating, name_of, namespace_of

NAME = "kube-root-ca.crt"
DESCRIPTION = {
    "kubernetes.io/description": (
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
        "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of "
        "Kubernetes clusters."
    )
}


def _owner(_: Any, config_map: Doc) -> tuple[Key, ...]:
    return (("", namespace_of(config_map)),) if name_of(config_map) == NAME else ()


class RootCAPublisher(Reconciler[Any]):
    """Namespaces and their copies of the CA bundle; a copy that was changed or removed is put back."""

    name = "root-ca-cert-publisher"
    component = "root-ca-cert-publisher"
    resource = NAMESPACES
    watches = (mapped(CONFIG_MAPS, _owner),)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.config_maps = self.informers(CONFIG_MAPS).lister

    async def reconcile(self, obj: Doc) -> Requeue | None:
        namespace = name_of(obj)
        if is_terminating(obj):
            return None
        data = {"ca.crt": self.context.root_ca}
        present = self.config_maps.get(NAME, namespace)
        if present is None:
            metadata: Obj = {"name": NAME, "namespace": namespace, "annotations": DESCRIPTION}
            with suppress(AlreadyExists):  # the cache has not seen it yet
                await self.client.create(CONFIG_MAPS, {"metadata": metadata, "data": data})
        elif present.get("data") != data or not annotations_of(present).items() >= DESCRIPTION.items():
            metadata = {**present["metadata"], "annotations": {**annotations_of(present), **DESCRIPTION}}
            await self.client.update(CONFIG_MAPS, {**present, "metadata": metadata, "data": data})
        return None

"""DefaultTolerationSeconds: a pod stays five minutes on a node that has gone quiet, unless it says otherwise."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.meta import Doc

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
SECONDS = 300


class DefaultTolerationSeconds(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/defaulttolerationseconds."""

    name: ClassVar[str] = "DefaultTolerationSeconds"
    resources: ClassVar[Collection[str]] = ("pods",)
    stands_on: ClassVar[Collection[str]] = ()

    def admit(self, attributes: Attributes, world: World) -> None:
        pod = attributes.object
        if pod is None or not (attributes.concerns("CREATE", "pods") or attributes.concerns("UPDATE", "pods")):
            return
        tolerations = pod["spec"].get("tolerations") or []
        missing = [key for key in (NOT_READY, UNREACHABLE) if not any(_tolerates(t, key) for t in tolerations)]
        if missing:
            added = [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}
                for key in missing
            ]
            pod["spec"]["tolerations"] = [*tolerations, *added]


def _tolerates(toleration: Doc, key: str) -> bool:
    return toleration.get("key", "") in (key, "") and toleration.get("effect", "") in ("NoExecute", "")

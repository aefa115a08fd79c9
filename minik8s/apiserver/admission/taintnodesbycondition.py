"""TaintNodesByCondition: a new node takes no pods until it has said that it is ready."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World

TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/nodetaint."""

    name: ClassVar[str] = "TaintNodesByCondition"
    resources: ClassVar[Collection[str]] = ("nodes",)

    def admit(self, attributes: Attributes, world: World) -> None:
        node = attributes.object
        if node is None or not attributes.concerns("CREATE", "nodes"):
            return
        taints = node["spec"].get("taints") or []
        if not any(taint.get("key") == TAINT["key"] and taint.get("effect") == TAINT["effect"] for taint in taints):
            node["spec"]["taints"] = [*taints, dict(TAINT)]

"""ServiceAccount: nothing but metadata and references."""

from __future__ import annotations

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.machinery.meta import Doc

MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"


class ServiceAccountStrategy(KindStrategy):
    """Upstream: pkg/registry/core/serviceaccount/strategy.go."""

    returns_deleted = True

    def check(self, obj: Doc) -> Causes:
        return ()

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        if MOUNTABLE not in (obj["metadata"].get("annotations") or {}):
            return []
        text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        return [f"metadata.annotations[{MOUNTABLE}]: {text}"]

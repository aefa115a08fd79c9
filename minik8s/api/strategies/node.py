"""RuntimeClass."""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.api.validation.common import named, unchanged, validate_labels
from minik8s.api.validation.resources import validate_overhead
from minik8s.api.validation.scheduling import validate_tolerations
from minik8s.machinery import names
from minik8s.machinery.field import duplicate
from minik8s.machinery.meta import Doc


class RuntimeClassStrategy(KindStrategy):
    """Upstream: pkg/registry/node/runtimeclass/strategy.go."""

    creates_on_update = True
    requires_version = True

    def check(self, obj: Doc) -> Causes:
        yield from named(obj.get("handler", ""), "handler", names.dns1123_label)
        yield from validate_overhead((obj.get("overhead") or {}).get("podFixed") or {}, "overhead")
        scheduling = obj.get("scheduling") or {}
        yield from validate_labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
        tolerations = scheduling.get("tolerations") or ()
        yield from validate_tolerations(tolerations, "scheduling.tolerations")
        for index, toleration in enumerate(tolerations):
            if toleration in tolerations[:index]:
                yield duplicate(f"scheduling.tolerations[{index}]", dict(toleration))

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj.get("handler"), old.get("handler"), "handler")


STRATEGIES: Mapping[str, type[KindStrategy]] = {"runtimeclasses": RuntimeClassStrategy}

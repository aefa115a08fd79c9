"""RuntimeClass."""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.api.validation.common import named, unchanged, validate_labels
from minik8s.api.validation.resources import validate_amount
from minik8s.api.validation.scheduling import validate_tolerations
from minik8s.machinery import names
from minik8s.machinery.meta import Doc


class RuntimeClassStrategy(KindStrategy):
    """Upstream: pkg/registry/node/runtimeclass/strategy.go."""

    creates_on_update = True
    requires_version = True

    def check(self, obj: Doc) -> Causes:
        yield from named(obj.get("handler", ""), "handler", names.dns1123_label)
        for name, amount in ((obj.get("overhead") or {}).get("podFixed") or {}).items():
            yield from validate_amount(name, amount, f"overhead.podFixed[{name}]")
        scheduling = obj.get("scheduling") or {}
        yield from validate_labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
        yield from validate_tolerations(scheduling.get("tolerations") or (), "scheduling.tolerations")

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj.get("handler"), old.get("handler"), "handler")


STRATEGIES: Mapping[str, type[KindStrategy]] = {"runtimeclasses": RuntimeClassStrategy}

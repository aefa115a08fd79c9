"""FlowSchema and PriorityLevelConfiguration: which requests wait for which (see `apiserver.flowcontrol`)."""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.flowcontrol import validate_flow_schema, validate_priority_level
from minik8s.machinery.meta import Doc, Obj


class FlowSchemaStrategy(KindStrategy):
    """Upstream: pkg/registry/flowcontrol/flowschema."""

    has_generation = True
    status_keeps_metadata = True

    def default(self, obj: Obj) -> None:
        set_default(obj["spec"], "matchingPrecedence", 1000)

    def check(self, obj: Doc) -> Causes:
        return validate_flow_schema(obj)


class PriorityLevelConfigurationStrategy(KindStrategy):
    """Upstream: pkg/registry/flowcontrol/prioritylevelconfiguration."""

    has_generation = True
    status_keeps_metadata = True

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        if (limited := spec.get("limited")) is not None:
            limited.setdefault("lendablePercent", 0)
            if limited.get("nominalConcurrencyShares") is None:
                limited["nominalConcurrencyShares"] = 30
            if queuing := (limited.get("limitResponse") or {}).get("queuing"):
                for field, value in (("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)):
                    set_default(queuing, field, value)
        if (exempt := spec.get("exempt")) is not None:
            exempt.setdefault("nominalConcurrencyShares", 0)
            exempt.setdefault("lendablePercent", 0)

    def check(self, obj: Doc) -> Causes:
        return validate_priority_level(obj)


STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "flowschemas": FlowSchemaStrategy,
    "prioritylevelconfigurations": PriorityLevelConfigurationStrategy,
}

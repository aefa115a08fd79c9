"""PriorityClass."""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.common import one_of
from minik8s.machinery.field import FieldErrors, forbidden, invalid
from minik8s.machinery.meta import Doc, Obj, name_of

HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


class PriorityClassStrategy(KindStrategy):
    """Upstream: pkg/registry/scheduling/priorityclass/strategy.go."""

    has_generation = True

    def default(self, obj: Obj) -> None:
        set_default(obj, "preemptionPolicy", "PreemptLowerPriority")

    def check(self, obj: Doc) -> Causes:
        policy = obj.get("preemptionPolicy")
        yield from one_of(policy, "preemptionPolicy", ("Never", "PreemptLowerPriority"))

    def validate_create(self, obj: Doc) -> FieldErrors:
        errors = super().validate_create(obj)
        name, value = name_of(obj), obj.get("value", 0)
        if name.startswith("system-"):
            if SYSTEM_CLASSES.get(name) != value:
                detail = "priority class names with 'system-' prefix are reserved for system use only. error: "
                reason = f"{name} is not a known system priority class"
                if name in SYSTEM_CLASSES:
                    reason = f"value of {name} PriorityClass must be {SYSTEM_CLASSES[name]}"
                errors.append(forbidden("metadata.name", detail + reason))
        elif value > HIGHEST_USER_PRIORITY:
            detail = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
            errors.append(forbidden("value", detail))
        return errors

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        if obj.get("value") != old.get("value"):
            yield forbidden("value", "may not be changed in an update.")
        if obj.get("preemptionPolicy") != old.get("preemptionPolicy"):
            yield invalid("preemptionPolicy", obj.get("preemptionPolicy"), "field is immutable")


STRATEGIES: Mapping[str, type[KindStrategy]] = {"priorityclasses": PriorityClassStrategy}

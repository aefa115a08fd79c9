"""PodDisruptionBudget."""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.api.validation.common import at_most_all, int_or_percent, non_negative, one_of
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.machinery.field import FieldErrors, invalid
from minik8s.machinery.meta import Doc


class DisruptionBudgetStrategy(KindStrategy):
    """Upstream: pkg/registry/policy/poddisruptionbudget/strategy.go."""

    has_generation = True
    requires_version = True

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
            yield invalid("spec", _go_spec(spec), "minAvailable and maxUnavailable cannot be both set")
        for field in ("minAvailable", "maxUnavailable"):
            yield from int_or_percent(spec.get(field), f"spec.{field}")
            yield from at_most_all(spec.get(field), f"spec.{field}")
        if (selector := spec.get("selector")) is not None:
            yield from validate_label_selector(selector, "spec.selector")
        policy = spec.get("unhealthyPodEvictionPolicy")
        yield from one_of(policy, "spec.unhealthyPodEvictionPolicy", ("AlwaysAllow", "IfHealthyBudget"), optional=True)

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        fields = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
        return list(non_negative(obj.get("status") or {}, "status", *fields))


def _go_spec(spec: Mapping[str, object]) -> dict[str, object]:
    """A spec as upstream's message shows it: the internal struct's field names."""
    return {
        "MinAvailable": spec.get("minAvailable"),
        "Selector": spec.get("selector"),
        "MaxUnavailable": spec.get("maxUnavailable"),
        "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
    }


STRATEGIES: Mapping[str, type[KindStrategy]] = {"poddisruptionbudgets": DisruptionBudgetStrategy}

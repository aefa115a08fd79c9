"""Lease."""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.api.validation.common import non_negative
from minik8s.machinery.field import invalid
from minik8s.machinery.meta import Doc


class LeaseStrategy(KindStrategy):
    """Upstream: pkg/registry/coordination/lease/strategy.go."""

    creates_on_update = True
    requires_version = True

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        seconds = spec.get("leaseDurationSeconds")
        if seconds is not None and seconds <= 0:
            yield invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
        yield from non_negative(spec, "spec", "leaseTransitions")


STRATEGIES: Mapping[str, type[KindStrategy]] = {"leases": LeaseStrategy}

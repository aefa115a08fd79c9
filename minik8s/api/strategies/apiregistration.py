"""APIService."""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.machinery.field import invalid
from minik8s.machinery.meta import Doc, name_of


class APIServiceStrategy(KindStrategy):
    """Upstream: kube-aggregator pkg/apis/apiregistration/validation."""

    requires_version = True

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        wanted = f"{spec.get('version', '')}.{spec.get('group', '')}"
        if name_of(obj) != wanted:
            yield invalid(
                "metadata.name", name_of(obj), f'must be `spec.version+"."+spec.group`: {wanted!r}'.replace("'", '"')
            )
        for field, limit in (("groupPriorityMinimum", 20_000), ("versionPriority", 1000)):
            value = spec.get(field, 0)
            if not 0 < value <= limit:
                yield invalid(f"spec.{field}", value, f"must be positive and less than {limit}")


STRATEGIES: Mapping[str, type[KindStrategy]] = {"apiservices": APIServiceStrategy}

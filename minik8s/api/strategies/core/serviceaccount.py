"""ServiceAccount: nothing but metadata and references."""

from __future__ import annotations

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.machinery.meta import Doc


class ServiceAccountStrategy(KindStrategy):
    """Upstream: pkg/registry/core/serviceaccount/strategy.go."""

    returns_deleted = True

    def check(self, obj: Doc) -> Causes:
        return ()

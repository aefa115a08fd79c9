"""events.k8s.io/v1: a stricter door to the same stored Events."""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.api.strategies.core.event import EventsV1Strategy
from minik8s.api.strategies.kind import KindStrategy

STRATEGIES: Mapping[str, type[KindStrategy]] = {"events": EventsV1Strategy}

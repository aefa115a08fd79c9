"""ResourceQuota: refuses what would take a namespace beyond its quotas.

Usage is counted from the store at the moment of the write rather than read from the quota's status, so that no
write slips through while a controller is still counting. A count is remembered and kept up by what was written since,
so that a full namespace costs no more than an empty one. What a write has added to `status.used` is told at once
(`charging`); all the rest of the status is the controller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from minik8s.api.pods import ResourceAmounts
from minik8s.api.quota import applies_to, missing_amounts, overstays_at, quota_hard, usage_of
from minik8s.api.resource import Resource
from minik8s.api.resources import RESOURCE_QUOTAS
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.meta import Doc, Obj, name_of
from minik8s.machinery.quantity import ZERO, Quantity, parse_quantity

MAX_TALLIES = 128
"""Pairs of quota and kind whose count is remembered; the one unused for longest is counted anew."""


class ResourceQuota(AdmissionPlugin):
    """Upstream: k8s.io/apiserver/pkg/admission/plugin/resourcequota."""

    name: ClassVar[str] = "ResourceQuota"
    is_last: ClassVar[bool] = True

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, ...], _Tally] = {}

    def validate(self, attributes: Attributes, world: World) -> None:
        resource, new = attributes.request.resource, attributes.object
        if new is None or not resource.namespaced or attributes.request.subresource not in ("", "resize"):
            return
        quotas = world.list(RESOURCE_QUOTAS, attributes.namespace)
        for quota in quotas:
            if applies_to(quota, resource, new):
                self._check(attributes, world, quota, new)

    def _check(self, attributes: Attributes, world: World, quota: Doc, new: Doc) -> None:
        resource, hard = attributes.request.resource, quota_hard(quota)
        if attributes.operation == "CREATE" and (missing := missing_amounts(resource, new, hard)):
            raise attributes.forbidden(f"failed quota: {name_of(quota)}: must specify {missing}")
        now = world.now()
        before = usage_of(resource, attributes.old, now) if attributes.old is not None else {}
        wanted = {name: amount - before.get(name, ZERO) for name, amount in usage_of(resource, new, now).items()}
        wanted = {name: amount for name, amount in wanted.items() if name in hard and amount > ZERO}
        if not wanted:
            return
        used = self._used(world, resource, attributes.namespace, quota, hard)
        over = [name for name in sorted(wanted) if used.get(name, ZERO) + wanted[name] > hard[name]]
        if over:
            raise attributes.forbidden(
                f"exceeded quota: {name_of(quota)}, requested: {_listed(wanted, over)}, "
                f"used: {_listed(used, over)}, limited: {_listed(hard, over)}"
            )

    def raised(self, world: World, resource: Resource[Any], namespace: str, new: Doc) -> Iterable[tuple[str, Obj]]:
        """The quotas whose status is behind, now that `new` is stored: their names, and what `used` has to say."""
        for quota in world.list(RESOURCE_QUOTAS, namespace):
            status = quota.get("status") or {}
            known, published = status.get("used") or {}, status.get("hard") or {}
            if not known or not applies_to(quota, resource, new):
                continue
            names = usage_of(resource, new, world.now()).keys() & known.keys() & published.keys()
            if names:
                used = self._used(world, resource, namespace, quota, quota_hard(quota))
                more = {name: str(used[name]) for name in names if used.get(name, ZERO) > parse_quantity(known[name])}
                if more:
                    yield name_of(quota), {**known, **more}

    def _used(
        self, world: World, resource: Resource[Any], namespace: str, quota: Doc, hard: ResourceAmounts
    ) -> ResourceAmounts:
        """What the namespace's stored objects of this kind use now."""
        spec = quota["spec"]
        scopes = repr((spec.get("scopes"), spec.get("scopeSelector")))
        identity = quota["metadata"].get("uid", "")
        key = (identity, name_of(quota), namespace, resource.api_version, resource.plural, scopes, *hard)
        tally = self._tallies.pop(key, None) or _Tally()
        while len(self._tallies) >= MAX_TALLIES:
            del self._tallies[next(iter(self._tallies))]
        self._tallies[key] = tally
        return tally.count(world, resource, namespace, quota, hard)


class _Tally:
    """What a namespace's objects of one kind use of a quota, kept up from one look to the next."""

    def __init__(self) -> None:
        self._revision = -1
        self._seen: dict[str, ResourceAmounts] = {}
        self._total: ResourceAmounts = {}
        self._leaving: dict[str, tuple[datetime, Doc]] = {}  # pods that will count no more by time alone

    def count(
        self, world: World, resource: Resource[Any], namespace: str, quota: Doc, hard: ResourceAmounts
    ) -> ResourceAmounts:
        """The total now; only what was written since the last look is counted."""
        changes = world.changes(resource, self._revision) if self._revision >= 0 else None
        if changes is None:
            self._seen, self._total, self._leaving = {}, {}, {}
            changes = [(namespace, name_of(obj), obj) for obj in world.list(resource, namespace)]
        self._revision = world.revision
        now = world.now()
        due = [(namespace, name, obj) for name, (gone, obj) in self._leaving.items() if now > gone]
        for home, name, obj in (*due, *changes):
            if home != namespace:
                continue
            usage = usage_of(resource, obj, now) if obj is not None and applies_to(quota, resource, obj) else {}
            self._move(name, {key: amount for key, amount in usage.items() if key in hard})
            self._leaving.pop(name, None)
            if obj is not None and (gone := overstays_at(resource, obj)) is not None and gone >= now:
                self._leaving[name] = gone, obj
        return self._total

    def _move(self, name: str, new: ResourceAmounts) -> None:
        old, total = self._seen.pop(name, {}), self._total
        for key in {*old, *new}:
            total[key] = total.get(key, ZERO) - old.get(key, ZERO) + new.get(key, ZERO)
        if new:
            self._seen[name] = new


def _listed(amounts: Mapping[str, Quantity], names: Iterable[str]) -> str:
    return ",".join(f"{name}={amounts.get(name, ZERO)}" for name in names)

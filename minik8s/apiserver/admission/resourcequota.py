"""ResourceQuota: refuses what would take a namespace beyond its quotas.

Usage is counted from the store at the moment of the write rather than read from the quota's status, so that no
write slips through while a controller is still counting; publishing `status.used` is that controller's job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from minik8s.api.pods import ResourceAmounts
from minik8s.api.quota import applies_to, missing_amounts, quota_hard, usage_of
from minik8s.api.resources import RESOURCE_QUOTAS
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.meta import Doc, name_of
from minik8s.machinery.quantity import ZERO, Quantity


class ResourceQuota(AdmissionPlugin):
    """Upstream: k8s.io/apiserver/pkg/admission/plugin/resourcequota."""

    name: ClassVar[str] = "ResourceQuota"
    is_last: ClassVar[bool] = True

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
        before = usage_of(resource, attributes.old) if attributes.old is not None else {}
        wanted = {name: amount - before.get(name, ZERO) for name, amount in usage_of(resource, new).items()}
        wanted = {name: amount for name, amount in wanted.items() if name in hard and amount > ZERO}
        if not wanted:
            return
        used = self._used(attributes, world, quota)
        over = [name for name in sorted(wanted) if used.get(name, ZERO) + wanted[name] > hard[name]]
        if over:
            raise attributes.forbidden(
                f"exceeded quota: {name_of(quota)}, requested: {_listed(wanted, over)}, "
                f"used: {_listed(used, over)}, limited: {_listed(hard, over)}"
            )

    def _used(self, attributes: Attributes, world: World, quota: Doc) -> ResourceAmounts:
        """What the namespace's stored objects of this kind use now."""
        resource = attributes.request.resource
        total: ResourceAmounts = {}
        for obj in world.list(resource, attributes.namespace):
            if applies_to(quota, resource, obj):
                for name, amount in usage_of(resource, obj).items():
                    total[name] = total.get(name, ZERO) + amount
        return total


def _listed(amounts: Mapping[str, Quantity], over: list[str]) -> str:
    return ",".join(f"{name}={amounts.get(name, ZERO)}" for name in over)

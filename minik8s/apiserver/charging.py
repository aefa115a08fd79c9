"""What a write has made used, told by the quotas of its namespace at once.

Counting is the controller's, but upstream's admission raises `status.used` with the write itself, and
kube-controller-manager relies on it: it counts anew only when something goes, and otherwise every five minutes.
Upstream: k8s.io/apiserver/pkg/admission/plugin/resourcequota, `UpdateQuotaStatus`.
"""

from __future__ import annotations

from typing import Any

from minik8s.api.resource import Resource
from minik8s.api.resources import RESOURCE_QUOTAS
from minik8s.apiserver.admission.resourcequota import ResourceQuota
from minik8s.apiserver.context import ServerContext
from minik8s.machinery.meta import Doc, evolve
from minik8s.store.protocol import RevisionMismatch


async def charge(ctx: ServerContext, resource: Resource[Any], namespace: str, new: Doc) -> None:
    """After a write that was stored. A quota that somebody else writes meanwhile is theirs to bring up to date."""
    if not resource.namespaced:
        return
    for plugin in ctx.chains.of(resource.group_resource).counting:
        if isinstance(plugin, ResourceQuota):
            for name, used in list(plugin.raised(ctx.world, resource, namespace, new)):
                await _publish(ctx, (RESOURCE_QUOTAS.group_resource, namespace, name), used)


async def _publish(ctx: ServerContext, key: tuple[str, str, str], used: Doc) -> None:
    entry = await ctx.store.get(key)
    if entry is not None:
        try:
            await ctx.store.put(key, evolve(entry.value, "status", "used", value=used), expect=entry.modified)
        except RevisionMismatch:
            return

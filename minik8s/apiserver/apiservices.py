"""APIService objects: one for each group version that this server serves, as kube-aggregator registers them.

They are put right whenever what is served changes, or somebody changes them; those that name a Service are another
server's (`aggregation`). Upstream: kube-aggregator `pkg/controllers/autoregister`, kube-apiserver
`cmd/kube-apiserver/app/aggregator.go` (the priorities).
"""

from __future__ import annotations

from random import Random
from typing import Final

from minik8s.api.resources import API_SERVICES
from minik8s.apiserver.aggregation.remote import RemoteApis
from minik8s.apiserver.registry import Registry
from minik8s.clock import Clock
from minik8s.machinery.meta import Doc, Obj, rfc3339
from minik8s.machinery.names import new_uid
from minik8s.store.protocol import RevisionMismatch, Store

MANAGED: Final = "kube-aggregator.kubernetes.io/automanaged"
_PRIORITIES: Final = {  # group: (priority of the group, priority of its versions)
    "": (18000, 1), "apps": (17800, 15), "events.k8s.io": (17750, 15), "authentication.k8s.io": (17700, 15),
    "authorization.k8s.io": (17600, 15), "autoscaling": (17500, 15), "batch": (17400, 15),
    "certificates.k8s.io": (17300, 15), "networking.k8s.io": (17200, 15), "policy": (17100, 15),
    "rbac.authorization.k8s.io": (17000, 15), "storage.k8s.io": (16800, 15), "apiextensions.k8s.io": (16700, 15),
    "admissionregistration.k8s.io": (16700, 15), "scheduling.k8s.io": (16600, 15), "coordination.k8s.io": (16500, 15),
    "node.k8s.io": (16300, 15), "discovery.k8s.io": (16200, 15), "flowcontrol.apiserver.k8s.io": (16100, 21),
    "resource.k8s.io": (15900, 15), "metrics.k8s.io": (100, 100),
}  # fmt: skip
_OWN: Final = {("autoscaling", "v2"): 30}
"""Versions that are preferred to their group's others."""
_CUSTOM: Final = (1000, 100)
_PREFIX: Final = (API_SERVICES.group_resource,)


class ApiServices:
    """The keeper of the APIServices of one server (see `registry.Keeper`)."""

    finishes_deletions = False

    def __init__(self, store: Store, registry: Registry, clock: Clock, rng: Random, remotes: RemoteApis) -> None:
        self._remotes = remotes
        self._store, self._registry, self._clock, self._rng = store, registry, clock, rng
        self._generation = -1

    def prepare(self, obj: Obj) -> Obj:
        """A local APIService is available; whether another one is, those who ask it say."""
        if obj["spec"].get("service"):
            return obj
        return {**obj, "status": self._status()}

    def mark(self, obj: Doc, marked: Obj) -> Obj:
        return marked

    async def written(self) -> None:
        """After somebody changed one of them."""
        self._generation = -1
        await self.follow()

    async def follow(self) -> None:
        """Adds what is newly served and removes what is served no more."""
        if self._generation == self._registry.generation:
            return
        self._generation = self._registry.generation
        served = self._registry.group_versions
        wanted = {f"{version}.{group}": (group, version, custom) for (group, version), custom in served.items()}
        present = {entry.key[2]: entry for entry in self._store.scan(_PREFIX)}
        status = self._status()
        self._remotes.follow([entry.value for entry in present.values() if entry.value["spec"].get("service")])
        for name in [name for name in wanted if name not in present]:
            await self._put(name, *wanted[name], status)
        for name in present.keys() - wanted.keys():
            if MANAGED in (present[name].value["metadata"].get("labels") or {}):
                await self._remove(present[name].key)

    async def _put(self, name: str, group: str, version: str, custom: bool, status: Obj) -> None:
        minimum, priority = _PRIORITIES.get(group, _CUSTOM)
        metadata = {
            "name": name,
            "uid": new_uid(self._rng),
            "creationTimestamp": rfc3339(self._clock.now()),
            "labels": {MANAGED: "true" if custom else "onstart"},
        }
        spec: Obj = {"group": group} if group else {}
        spec |= {"version": version, "groupPriorityMinimum": minimum}
        spec["versionPriority"] = _OWN.get((group, version), priority)
        document: Obj = {"kind": API_SERVICES.kind, "apiVersion": API_SERVICES.api_version, "metadata": metadata}
        await self._store.put((*_PREFIX, "", name), {**document, "spec": spec, "status": status})

    async def _remove(self, key: tuple[str, str, str]) -> None:
        try:
            await self._store.delete(key)
        except RevisionMismatch:
            return

    def _status(self) -> Obj:
        condition = {
            "type": "Available",
            "status": "True",
            "lastTransitionTime": rfc3339(self._clock.now()),
            "reason": "Local",
            "message": "Local APIServices are always available",
        }
        return {"conditions": [condition]}

"""Which pods belong with a pod: those that its Services and its workload select.

PodTopologySpread's default constraints count these. Upstream: `plugins/helper/spread.go` (DefaultSelector). Answers are
remembered, and forgotten when a selector comes, changes or goes; the status of a workload does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from minik8s.api.resources import REPLICA_SETS, REPLICATION_CONTROLLERS, SERVICES, STATEFUL_SETS
from minik8s.client.informer import Informer, Informers
from minik8s.machinery.meta import Doc, controller_of
from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.info import PodInfo

REMEMBERED = 4096


class Owners:
    """Reads the caches of Services and of workloads whose pods are interchangeable."""

    def __init__(self, informers: Informers) -> None:
        self._services: Informer[Any] = informers(SERVICES)
        self._workloads: dict[str, Informer[Any]] = {
            resource.kind: informers(resource) for resource in (REPLICATION_CONTROLLERS, REPLICA_SETS, STATEFUL_SETS)
        }
        self._remembered: dict[tuple[Any, ...], LabelSelector | None] = {}
        self._by_pair: dict[str, dict[tuple[str, str], list[Doc]]] = {}

    async def synced(self) -> None:
        for informer in (self._services, *self._workloads.values()):
            await informer.synced()

    def watch(self) -> list[Callable[[], None]]:
        """Keeps the answers true; returns the removals."""
        return [informer.add_handler(self._on_change) for informer in (self._services, *self._workloads.values())]

    def _on_change(self, old: Doc | None, new: Doc | None) -> None:
        if _selector(old) != _selector(new):
            self._remembered.clear()
            self._by_pair.clear()

    def selector(self, pod: PodInfo) -> LabelSelector | None:
        """What selects the pod and its like, None for a pod that nothing selects."""
        owner = controller_of(pod.doc)
        key = (pod.namespace, None if owner is None else owner.get("uid"), *pod.labels.items())
        if key not in self._remembered:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = self._find(pod, owner)
        return self._remembered[key]

    def _find(self, pod: PodInfo, owner: Doc | None) -> LabelSelector | None:
        pairs: dict[str, str] = {}
        for service in self._selecting(pod):
            pairs.update(service)
        own = None
        workload = None
        if owner is not None and (informer := self._workloads.get(owner.get("kind", ""))) is not None:
            workload = informer.lister.get(owner.get("name", ""), pod.namespace)
        if workload is not None:
            if workload.get("kind", owner["kind"] if owner else "") == REPLICATION_CONTROLLERS.kind:
                pairs.update(_selector(workload) or {})
            else:
                own = LabelSelector.from_object(_selector(workload))
        selector = LabelSelector.from_map(pairs)
        if own is not None:
            selector = attrs.evolve(selector, requirements=(*selector.requirements, *own.requirements))
        return None if selector.is_everything else selector

    def _selecting(self, pod: PodInfo) -> list[Doc]:
        """The selectors of the Services that select the pod."""
        index = self._by_pair.get(pod.namespace)
        if index is None:
            index = self._by_pair[pod.namespace] = {}
            for service in self._services.lister.all(pod.namespace):
                if selector := _selector(service):
                    index.setdefault(next(iter(selector.items())), []).append(selector)
        found = [selector for pair in pod.labels.items() for selector in index.get(pair, ())]
        return [selector for selector in found if all(pod.labels.get(k) == v for k, v in selector.items())]


def _selector(obj: Doc | None) -> Doc | None:
    return None if obj is None else (obj.get("spec") or {}).get("selector")

"""Finds the pods that a selector may mean without a look at every pod of the cluster.

Whoever counts pods for the first time (the first pod of each Deployment does) asks by the labels that its selector
wants to be equal. A label key is indexed from the first time it is asked by: keys that no selector has cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.info import NodeInfo, PodInfo

MOST_KEYS = 16
"""Label keys that are indexed at most; a selector of others is answered by a look at all pods."""
_EQUAL = ("=", "==", "in")
Standing = tuple[PodInfo, NodeInfo]
Lookup = dict[tuple[str, str], dict[str, Standing]]
"""(namespace, label value) -> uid -> the pod and its node."""


class PodIndex:
    """`everybody` yields all pods with their nodes."""

    def __init__(self, everybody: Callable[[], Iterable[Standing]]) -> None:
        self._everybody = everybody
        self._keys: dict[str, Lookup] = {}

    def moved(self, sign: int, pod: PodInfo, node: NodeInfo) -> None:
        """A pod has come to a node (1), or left it (-1)."""
        for key, lookup in self._keys.items():
            value = pod.labels.get(key)
            if value is None:
                continue
            if sign > 0:
                lookup.setdefault((pod.namespace, value), {})[pod.uid] = pod, node
            elif (found := lookup.get((pod.namespace, value))) is not None:
                found.pop(pod.uid, None)
                if not found:
                    del lookup[pod.namespace, value]

    def candidates(self, namespaces: Collection[str] | None, selector: LabelSelector) -> Iterator[Standing]:
        """At least those that the selector means in these namespaces (None: in any)."""
        if namespaces is None:
            yield from self._everybody()
            return
        pairs = [(r.key, *r.values) for r in selector.requirements if r.operator in _EQUAL and len(r.values) == 1]
        lookups = [(lookup, value) for key, value in pairs if (lookup := self._lookup(key)) is not None]
        if not lookups:
            yield from (standing for standing in self._everybody() if standing[0].namespace in namespaces)
            return
        empty: dict[str, Standing] = {}
        for namespace in namespaces:
            yield from min((lookup.get((namespace, value), empty) for lookup, value in lookups), key=len).values()

    def _lookup(self, key: str) -> Lookup | None:
        if key not in self._keys and len(self._keys) < MOST_KEYS:
            made: Lookup = {}
            for pod, node in self._everybody():
                if (value := pod.labels.get(key)) is not None:
                    made.setdefault((pod.namespace, value), {})[pod.uid] = pod, node
            self._keys[key] = made
        return self._keys.get(key)

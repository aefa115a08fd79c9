"""Pods and nodes as the plugins want them: parsed once, summed up, kept current by increments.

Upstream: `pkg/scheduler/framework/types.go` (PodInfo, NodeInfo). A `NodeInfo` is owned by the cache, which is the only
one to change it; `generation` tells readers whether it has changed since they looked.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

import attrs

from minik8s.api.pods import HostPort, host_ports
from minik8s.api.resizing import effective_spec
from minik8s.api.scheduling import HARD_EFFECTS
from minik8s.machinery.meta import Doc, is_terminating, labels_of
from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.resources import Amounts, amounts, pod_amounts

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@attrs.frozen(eq=False)
class AffinityTerm:
    """One podAffinity or podAntiAffinity term of a pod; `weight` is 0 for required ones."""

    topology_key: str
    selector: LabelSelector
    namespaces: frozenset[str]
    namespace_selector: LabelSelector
    weight: int = 0

    @classmethod
    def of(cls, doc: Doc, namespace: str, weight: int = 0) -> AffinityTerm:
        """Without namespaces and namespaceSelector a term means its own pod's namespace."""
        named = frozenset(doc.get("namespaces") or ())
        if not named and doc.get("namespaceSelector") is None:
            named = frozenset((namespace,))
        return cls(
            doc.get("topologyKey", ""),
            LabelSelector.from_object(doc.get("labelSelector")),
            named,
            LabelSelector.from_object(doc.get("namespaceSelector")),
            weight,
        )

    def matches(self, pod: PodInfo, namespace_labels: Mapping[str, str]) -> bool:
        """Whether the term means `pod`, whose namespace has these labels."""
        return self.means(pod.namespace, pod.labels, namespace_labels)

    def means(self, namespace: str, labels: Mapping[str, str], namespace_labels: Mapping[str, str]) -> bool:
        """Whether the term means a pod of that namespace with those labels."""
        if namespace not in self.namespaces and not self.namespace_selector.matches(namespace_labels):
            return False
        return self.selector.matches(labels)

    @property
    def identity(self) -> Hashable:
        """Equal for terms that say the same."""
        return (self.topology_key, self.selector, self.namespaces, self.namespace_selector, self.weight)


@attrs.frozen
class PodTerms:
    """All terms of a pod towards other pods."""

    affinity: tuple[AffinityTerm, ...] = ()
    anti_affinity: tuple[AffinityTerm, ...] = ()
    preferred: tuple[AffinityTerm, ...] = ()
    """Preferred affinity, and preferred anti-affinity with negative weights."""
    labels: frozenset[str] = attrs.field(init=False)
    """The label keys that the terms look at."""

    @labels.default
    def _labels(self) -> frozenset[str]:
        terms = (*self.affinity, *self.anti_affinity, *self.preferred)
        return frozenset(r.key for term in terms for r in term.selector.requirements)

    @classmethod
    def of(cls, spec: Doc, namespace: str) -> PodTerms:
        affinity = spec.get("affinity") or {}
        near, far = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
        if not near and not far:
            return _NO_TERMS
        preferred = [
            AffinityTerm.of(wish.get("podAffinityTerm") or {}, namespace, sign * wish.get("weight", 0))
            for side, sign in ((near, 1), (far, -1))
            for wish in side.get(_PREFERRED) or ()
        ]
        return cls(
            tuple(AffinityTerm.of(term, namespace) for term in near.get(_REQUIRED) or ()),
            tuple(AffinityTerm.of(term, namespace) for term in far.get(_REQUIRED) or ()),
            tuple(preferred),
        )

    def __bool__(self) -> bool:
        return bool(self.affinity or self.anti_affinity or self.preferred)


_NO_TERMS = PodTerms()


def _spread_labels(spec: Doc) -> frozenset[str]:
    """The label keys that topology spread constraints look at."""
    keys: set[str] = set()
    for constraint in spec.get("topologySpreadConstraints") or ():
        selector = constraint.get("labelSelector") or {}
        keys.update(selector.get("matchLabels") or (), constraint.get("matchLabelKeys") or ())
        keys.update(expression.get("key", "") for expression in selector.get("matchExpressions") or ())
    return frozenset(keys)


class PodInfo:
    """A pod with what every plugin needs to know of it."""

    __slots__ = (
        "assumed_cpu", "assumed_memory", "cpu", "doc", "key", "labels", "memory", "namespace", "own_labels", "ports",
        "priority", "requests", "scalars", "spec", "terminating", "terms", "uid",
    )  # fmt: skip

    def __init__(self, doc: Doc) -> None:
        meta = doc["metadata"]
        self.doc = doc
        self.spec: Doc = doc.get("spec") or {}
        self.namespace: str = meta.get("namespace", "")
        self.key = f"{self.namespace}/{meta['name']}"
        self.uid: str = meta.get("uid", "")
        self.labels: Mapping[str, str] = meta.get("labels") or {}
        self.priority: int = self.spec.get("priority") or 0
        self.requests, self.assumed_cpu, self.assumed_memory = pod_amounts(effective_spec(doc))
        self.cpu = self.requests.get("cpu", 0)
        self.memory = self.requests.get("memory", 0)
        self.scalars = [(k, v) for k, v in self.requests.items() if v and k not in ("cpu", "memory", "pods")]
        self.ports = host_ports(self.spec)
        self.terms = PodTerms.of(self.spec, self.namespace)
        self.own_labels = self.terms.labels | _spread_labels(self.spec)
        self.terminating = is_terminating(doc)

    @property
    def node_name(self) -> str:
        """The node it is assigned to, "" while it waits."""
        return self.spec.get("nodeName") or ""


class NodeInfo:
    """A node, what it offers, and the sum of the pods on it. `node` is None while only its pods are known."""

    __slots__ = (
        "allocatable", "allowed_pods", "assumed_cpu", "assumed_memory", "cpu", "generation", "images",
        "labels", "memory", "name", "node", "nominated", "pods", "ports", "requested", "requested_cpu",
        "requested_memory", "soft_taints", "taints", "unschedulable", "with_affinity",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.node: Doc | None = None
        self.generation = 0
        self.labels: Mapping[str, str] = {}
        self.taints: tuple[Doc, ...] = ()
        self.soft_taints: tuple[Doc, ...] = ()
        self.unschedulable = False
        self.allocatable: Amounts = {}
        self.cpu = self.memory = self.allowed_pods = 0
        self.requested_cpu = self.requested_memory = 0
        self.assumed_cpu = self.assumed_memory = 0
        self.requested: dict[str, int] = {}
        self.pods: dict[str, PodInfo] = {}
        self.with_affinity: dict[str, PodInfo] = {}
        self.nominated: dict[str, PodInfo] = {}
        self.ports: dict[HostPort, int] = {}
        self.images: dict[str, int] = {}

    def set_node(self, node: Doc) -> None:
        """Takes over what the Node object says."""
        spec, status = node.get("spec") or {}, node.get("status") or {}
        taints: Sequence[Doc] = spec.get("taints") or ()
        self.node = node
        self.labels = labels_of(node)
        self.taints = tuple(t for t in taints if t.get("effect") in HARD_EFFECTS)
        self.soft_taints = tuple(t for t in taints if t.get("effect") == "PreferNoSchedule")
        self.unschedulable = bool(spec.get("unschedulable"))
        self.allocatable = amounts(status.get("allocatable"))
        self.cpu = self.allocatable.get("cpu", 0)
        self.memory = self.allocatable.get("memory", 0)
        self.allowed_pods = self.allocatable.get("pods", 0)
        self.images = {n: i.get("sizeBytes", 0) for i in status.get("images") or () for n in i.get("names") or ()}

    def add_pod(self, pod: PodInfo) -> None:
        self.pods[pod.uid] = pod
        if pod.terms:
            self.with_affinity[pod.uid] = pod
        self._count(pod, 1)

    def remove_pod(self, uid: str) -> PodInfo | None:
        """Forgets a pod and returns it, None when it was not here."""
        pod = self.pods.pop(uid, None)
        if pod is not None:
            self.with_affinity.pop(uid, None)
            self._count(pod, -1)
        return pod

    def nominated_before(self, pod: PodInfo) -> list[PodInfo]:
        """The pods for which room is being made here, as far as they go before `pod`."""
        return [p for p in self.nominated.values() if p.uid != pod.uid and p.priority >= pod.priority]

    def with_pods(self, others: Iterable[PodInfo]) -> NodeInfo:
        """A copy that has those pods already."""
        copy = NodeInfo(self.name)
        if self.node is not None:
            copy.set_node(self.node)
        for pod in self.pods.values():
            copy.add_pod(pod)
        for other in others:
            copy.add_pod(other)
        return copy

    def _count(self, pod: PodInfo, sign: int) -> None:
        self.requested_cpu += sign * pod.cpu
        self.requested_memory += sign * pod.memory
        self.assumed_cpu += sign * pod.assumed_cpu
        self.assumed_memory += sign * pod.assumed_memory
        for name, number in pod.scalars:
            self.requested[name] = self.requested.get(name, 0) + sign * number
        for port in pod.ports:
            users = self.ports.get(port, 0) + sign
            if users:
                self.ports[port] = users
            else:
                self.ports.pop(port, None)

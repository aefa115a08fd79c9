"""What the scheduler believes stands on every node.

Informers report what is so; between a decision and the informer's confirmation the pod is *assumed*, so that the next
decision counts with it. Every change costs one node, never a scan: nodes are kept in the order of their last change,
and a reader that remembers a generation asks for those that changed since. Upstream: `backend/cache`; its snapshot
is a copy because its cycles run beside its informers. Ours never suspend, so the cache itself is the snapshot.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import TypeVar

from minik8s.api.nodes import REGION, ZONE
from minik8s.api.resizing import resizes
from minik8s.machinery.meta import Doc, is_terminating, labels_of, name_of
from minik8s.scheduler.framework import Event
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.podindex import PodIndex
from minik8s.scheduler.tally import Domains, PodLog, Tally

KEPT_TALLIES = 1024
KEPT_DOMAINS = 256

T = TypeVar("T", bound=Tally)


class Cache:
    """Nodes with their pods; implements `framework.Snapshot`.

    `generation` grows with every change of a node, `epoch` with changes that other nodes' verdicts may depend on;
    `layout` with what divides nodes into domains (the nodes, their labels, namespaces' labels), `taints` with taints.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.epoch = 0
        self.layout = 0
        self.taints = 0
        self.pod_log = PodLog()
        self.term_log = PodLog()
        self.pods = PodIndex(lambda: ((pod, info) for info in self._infos.values() for pod in info.pods.values()))
        self.term_labels: Counter[str] = Counter()
        self.nodes: list[NodeInfo] = []
        self.nodes_with_affinity: dict[str, NodeInfo] = {}
        self._infos: OrderedDict[str, NodeInfo] = OrderedDict()
        self._where: dict[str, str] = {}
        self._assumed: set[str] = set()
        self._nominated: dict[str, str] = {}
        self._priorities: Counter[int] = Counter()
        self._images: Counter[str] = Counter()
        self._soft_tainted = 0
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._tallies: OrderedDict[Hashable, Tally] = OrderedDict()
        self._domains: OrderedDict[Hashable, Domains] = OrderedDict()
        self._looked_at: set[str] = set()
        self._unique: dict[str, tuple[int, bool]] = {}
        self._interleaved: tuple[int, list[NodeInfo]] = (-1, [])

    # ------------------------------------------------------------------ reading

    @property
    def has_soft_taints(self) -> bool:
        return self._soft_tainted > 0

    @property
    def lowest_priority(self) -> int:
        return min(self._priorities, default=0)

    def node(self, name: str) -> NodeInfo | None:
        """A node that exists as an object."""
        info = self._infos.get(name)
        return info if info is not None and info.node is not None else None

    def image_nodes(self, image: str) -> int:
        return self._images[image]

    def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        return self._namespaces.get(namespace, {})

    def tally(self, key: Hashable, make: Callable[[], T], labels: Iterable[str] = ()) -> T:
        """The current tally of that key, which says all that tells it from others; `make` makes it, not yet counted.

        `labels` are the keys of the labels by which it counts pods.
        """
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = make()
            self._looked_at.update(labels)
            if len(self._tallies) > KEPT_TALLIES:
                self._tallies.popitem(last=False)
        else:
            self._tallies.move_to_end(key)
        tally.sync(self)
        return tally  # type: ignore[return-value]

    def domains(self, key: Hashable, make: Callable[[], Domains]) -> Domains:
        """The domains of that key, which says all that tells them from others; tallies share them."""
        domains = self._domains.get(key)
        if domains is None:
            domains = self._domains[key] = make()
            if len(self._domains) > KEPT_DOMAINS:
                self._domains.popitem(last=False)
        else:
            self._domains.move_to_end(key)
        return domains

    def is_unique(self, key: str) -> bool:
        """Whether no two nodes have the same value of that label, as it is with host names."""
        layout, unique = self._unique.get(key, (-1, False))
        if layout != self.layout:
            values = [node.labels[key] for node in self.nodes if key in node.labels]
            unique = len(set(values)) == len(values)
            self._unique[key] = (self.layout, unique)
        return unique

    def interleaved(self) -> list[NodeInfo]:
        """The nodes, zone by zone in turn, so that a sample of them has something of every zone (node_tree.go)."""
        if self._interleaved[0] != self.layout:
            zones: dict[tuple[str, str], list[NodeInfo]] = {}
            for node in self.nodes:
                zones.setdefault((node.labels.get(REGION, ""), node.labels.get(ZONE, "")), []).append(node)
            turns = chain.from_iterable(zip_longest(*zones.values()))
            self._interleaved = (self.layout, [node for node in turns if node is not None])
        return self._interleaved[1]

    def changed_since(self, generation: int) -> Iterator[NodeInfo]:
        """The nodes changed after that generation, last change first."""
        for info in reversed(self._infos.values()):
            if info.generation <= generation:
                return
            if info.node is not None:
                yield info

    def is_assumed(self, uid: str) -> bool:
        return uid in self._assumed

    # ------------------------------------------------------------------ pods

    def assume(self, pod: PodInfo, node: str) -> None:
        """Counts a pod on a node before the API server has confirmed it."""
        self._place(pod, node)
        self._assumed.add(pod.uid)

    def forget(self, uid: str) -> None:
        """Takes an assumption back; a pod that has been confirmed meanwhile stays."""
        if uid in self._assumed:
            self.remove_pod(uid)

    def nominate(self, pod: PodInfo, node: str) -> None:
        """Keeps the room that is being made on a node from pods of lower priority."""
        self.denominate(pod.uid)
        if (info := self.node(node)) is not None:
            info.nominated[pod.uid] = pod
            self._nominated[pod.uid] = node
            self._touch(info)

    def denominate(self, uid: str) -> None:
        """No room is kept for the pod any more; nothing when none was."""
        before = self._nominated.pop(uid, None)
        if before is not None and (info := self._infos.get(before)) is not None:
            info.nominated.pop(uid, None)
            self._touch(info)

    def is_nominated(self, uid: str) -> bool:
        return uid in self._nominated

    def set_pod(self, doc: Doc) -> None:
        """An assigned pod as the informer reports it: confirms an assumption, or adds or updates the pod."""
        uid, node = doc["metadata"].get("uid", ""), doc["spec"]["nodeName"]
        self._assumed.discard(uid)
        known = self.pod(uid)
        if known is None or self._where[uid] != node or self._differs(known.doc, doc):
            self.remove_pod(uid)
            self._place(PodInfo(doc), node)
        else:
            known.doc, known.spec, known.labels = doc, doc["spec"], labels_of(doc)

    def _differs(self, old: Doc, new: Doc) -> bool:
        """Whether anything that plugins look at has changed: a resize, labels that count, that the pod is to end.

        Labels that no tally counts by do not: the API server gives every pod the zone of its node when it is bound.
        """
        before, after = labels_of(old), labels_of(new)
        if before is not after and before != after and not self._looked_at.isdisjoint(_changed(before, after)):
            return True
        if is_terminating(old) != is_terminating(new) or resizes(old) or resizes(new):
            return True
        was, now = old["spec"], new["spec"]
        return was is not now and any(was.get(k) != now.get(k) for k in ("containers", "initContainers"))

    def pod(self, uid: str) -> PodInfo | None:
        """A pod that stands, or is assumed to stand, on a node."""
        node = self._where.get(uid)
        return None if node is None else self._infos[node].pods.get(uid)

    def remove_pod(self, uid: str) -> None:
        """The pod is gone, or has ended; nothing when it is not known."""
        self._assumed.discard(uid)
        node = self._where.pop(uid, None)
        if node is None:
            return
        info = self._infos[node]
        pod = info.remove_pod(uid)
        self._touch(info)
        if pod is not None:
            self._priorities[pod.priority] -= 1
            if not self._priorities[pod.priority]:
                del self._priorities[pod.priority]
        if pod is not None:
            self._log(-1, pod, info)
        self._drop_if_empty(info)

    def _place(self, pod: PodInfo, node: str) -> None:
        info = self._info(node)
        info.add_pod(pod)
        self._where[pod.uid] = node
        self._priorities[pod.priority] += 1
        self._touch(info)
        self._log(1, pod, info)

    def _log(self, sign: int, pod: PodInfo, info: NodeInfo) -> None:
        self.pod_log.add(sign, pod, info)
        self.pods.moved(sign, pod, info)
        if not pod.terms:
            return
        self.term_log.add(sign, pod, info)
        for key in pod.terms.labels:
            self.term_labels[key] += sign
            if not self.term_labels[key]:
                del self.term_labels[key]
        if info.with_affinity:
            self.nodes_with_affinity[info.name] = info
        else:
            self.nodes_with_affinity.pop(info.name, None)

    # ------------------------------------------------------------------ nodes

    def set_node(self, node: Doc) -> Event:
        """Adds or updates a node; says what that may mean for waiting pods, nothing when it does not concern them."""
        info = self._info(name_of(node))
        before = info.node
        if before is not None:
            event = node_event(before, node)
            if not event and _images(before) == _images(node):
                info.node = node
                return event
        else:
            event = Event.NODE_ADD
            self.epoch += 1
            self.nodes.append(info)
        if event & (Event.NODE_ADD | Event.NODE_LABEL):
            self.layout += 1
        if event & Event.NODE_TAINT:
            self.taints += 1
        self._count_node(info, -1)
        info.set_node(node)
        self._count_node(info, 1)
        self._touch(info)
        return event

    def remove_node(self, name: str) -> None:
        """The Node object is gone; pods that still name it are remembered until they go too."""
        info = self.node(name)
        if info is None:
            return
        self._count_node(info, -1)
        info.node, info.soft_taints, info.images = None, (), {}
        self.epoch += 1
        self.layout += 1
        self.nodes.remove(info)
        self._drop_if_empty(info)

    def set_namespace(self, name: str, namespace: Doc | None) -> None:
        """A namespace's labels, which pod affinity terms may select by."""
        labels = {} if namespace is None else labels_of(namespace)
        if self.namespace_labels(name) != labels and self._tallies:
            self.layout += 1
        if namespace is None:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = labels

    def _info(self, name: str) -> NodeInfo:
        info = self._infos.get(name)
        if info is None:
            info = self._infos[name] = NodeInfo(name)
        return info

    def _touch(self, info: NodeInfo) -> None:
        self.generation += 1
        info.generation = self.generation
        self._infos.move_to_end(info.name)

    def _count_node(self, info: NodeInfo, sign: int) -> None:
        had = self.has_soft_taints
        self._soft_tainted += sign if info.soft_taints else 0
        if had != self.has_soft_taints:
            self.epoch += 1
        for image in info.images:
            self._images[image] += sign
            if not self._images[image]:
                del self._images[image]

    def _drop_if_empty(self, info: NodeInfo) -> None:
        if info.node is None and not info.pods:
            self._infos.pop(info.name, None)


def node_event(old: Doc, new: Doc) -> Event:
    """In which ways a node's update may matter to a waiting pod."""
    event = Event(0)
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if (old.get("status") or {}).get("allocatable") != (new.get("status") or {}).get("allocatable"):
        event |= Event.NODE_ALLOCATABLE
    if labels_of(old) != labels_of(new):
        event |= Event.NODE_LABEL
    if _taints(before) != _taints(after) or before.get("unschedulable") != after.get("unschedulable"):
        event |= Event.NODE_TAINT
    return event


def _taints(spec: Doc) -> Sequence[Doc]:
    return spec.get("taints") or ()


def _images(node: Doc) -> Sequence[Doc]:
    return (node.get("status") or {}).get("images") or ()


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The keys whose values differ."""
    return [key for key in {**before, **after} if before.get(key) != after.get(key)]

"""Who owns whom, as a graph kept up by events and read by the garbage collector. Pure.

Objects are nodes keyed by uid; an owner that is referred to but has not been seen is a virtual node until an event
shows it or a look at the server shows that it does not exist. Each change answers what has to be looked at. Upstream:
`pkg/controller/garbagecollector/graph_builder.go`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

import attrs

from minik8s.machinery.meta import Doc, is_terminating, name_of, namespace_of, owner_references, uid_of

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
ABSENT_CACHE = 500
"""Owners known to be gone that are remembered; upstream NewReferenceCache(500)."""

Work: TypeAlias = tuple[Literal["delete", "orphan", "misplaced"], str]
"""Look whether the object of that uid has to go; release its dependents; or tell that its owner is elsewhere."""


class Owner(NamedTuple):
    """An owner reference; a tuple, because one is made with every event of an owned object."""

    api_version: str
    kind: str
    name: str
    uid: str
    blocks: bool = False

    @property
    def group(self) -> str:
        return group_of(self)


@attrs.define(eq=False)
class Node:
    """An object, or (not `observed`) one that others only refer to. The namespace of a virtual node is a guess."""

    uid: str
    api_version: str
    kind: str
    name: str
    namespace: str
    owners: tuple[Owner, ...] = ()
    dependents: dict[str, Node] = attrs.field(factory=dict, repr=False)
    observed: bool = False
    terminating: bool = False
    foreground: bool = False
    """It is being deleted and waits for its dependents."""

    def blocking(self) -> list[Node]:
        """Dependents that keep its foreground deletion from finishing."""
        return [d for d in self.dependents.values() if any(o.uid == self.uid and o.blocks for o in d.owners)]

    def agrees_with(self, owner: Owner, namespace: str) -> bool:
        """Whether a reference from an object in `namespace` describes this node rightly."""
        same = (owner.group, owner.kind, owner.name) == (group_of(self), self.kind, self.name)
        return same and self.namespace in ("", namespace)


class Graph:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._absent: OrderedDict[tuple[str, str], None] = OrderedDict()

    def observe(self, obj: Doc) -> list[Work]:
        """An object was added or changed."""
        uid = uid_of(obj)
        owners = _owners(obj)
        node = self.nodes.get(uid)
        terminating = is_terminating(obj)
        if node is None and not owners and not terminating:
            self.nodes[uid] = self._new(obj, observed=True)
            return []
        work: list[Work] = []
        if node is None:
            node = self.nodes[uid] = self._new(obj, observed=True)
        elif not node.observed:
            work += self._identify(node, obj)
        if owners != node.owners:
            work += self._change_owners(node, owners)
        if terminating:
            work += self._transition(node, obj["metadata"].get("finalizers") or ())
        return work

    def forget(self, uid: str) -> list[Work]:
        """An object is gone: its dependents may have to go, and owners that waited for it may."""
        node = self.nodes.pop(uid, None)
        if node is None:
            return []
        work: list[Work] = []
        for owner in node.owners:
            parent = self.nodes.get(owner.uid)
            if parent is not None:
                parent.dependents.pop(uid, None)
                if parent.foreground:
                    work.append(("delete", parent.uid))
                self._drop_if_unused(parent)
        if node.dependents:
            self.note_absent(uid, node.namespace)
            work += [("delete", dependent) for dependent in node.dependents]
        return work

    def not_found(self, node: Node) -> list[Work]:
        """The server has no such object where a virtual node was said to be.

        Dependents that said so are looked at; if others say otherwise the node is next looked for there.
        """
        self.note_absent(node.uid, node.namespace)
        work: list[Work] = []
        others: list[tuple[Owner, Node]] = []
        for dependent in list(node.dependents.values()):
            owner = next(o for o in dependent.owners if o.uid == node.uid)
            if node.agrees_with(owner, dependent.namespace):
                del node.dependents[dependent.uid]
                work.append(("delete", dependent.uid))
            else:
                others.append((owner, dependent))
        if not others:
            self.nodes.pop(node.uid, None)
            return work
        owner, dependent = others[0]
        node.api_version, node.kind, node.name = owner.api_version, owner.kind, owner.name
        node.namespace = dependent.namespace
        return [*work, ("delete", node.uid)]

    def note_absent(self, uid: str, namespace: str) -> None:
        """Remembers that a look found no such owner there ("" for one without namespace)."""
        self._absent[uid, namespace] = None
        self._absent.move_to_end((uid, namespace))
        if len(self._absent) > ABSENT_CACHE:
            self._absent.popitem(last=False)

    def is_absent(self, uid: str, namespace: str) -> bool:
        """Whether an object in `namespace` cannot have that owner: a uid never comes back."""
        return (uid, namespace) in self._absent or (uid, "") in self._absent

    def _new(self, obj: Doc, *, observed: bool) -> Node:
        return Node(
            uid=uid_of(obj),
            api_version=obj["apiVersion"],
            kind=obj["kind"],
            name=name_of(obj),
            namespace=namespace_of(obj),
            observed=observed,
        )

    def _identify(self, node: Node, obj: Doc) -> list[Work]:
        """A virtual node turns out to be this object; references that said otherwise are looked at."""
        node.api_version, node.kind = obj["apiVersion"], obj["kind"]
        node.name, node.namespace = name_of(obj), namespace_of(obj)
        node.observed = True
        work: list[Work] = []
        for dependent in node.dependents.values():
            for owner in dependent.owners:
                if owner.uid == node.uid:
                    work += self._disagreement(node, owner, dependent)
        return work

    def _disagreement(self, node: Node, owner: Owner, dependent: Node) -> list[Work]:
        if node.agrees_with(owner, dependent.namespace):
            return []
        work: list[Work] = [("delete", dependent.uid)]
        if node.namespace not in ("", dependent.namespace):
            work.append(("misplaced", dependent.uid))
        return work

    def _change_owners(self, node: Node, owners: tuple[Owner, ...]) -> list[Work]:
        work: list[Work] = []
        old, new = {o.uid: o for o in node.owners}, {o.uid: o for o in owners}
        node.owners = owners
        for uid, owner in old.items():
            parent = self.nodes.get(uid)
            if parent is None:
                continue
            kept = new.get(uid)
            if kept is None:
                parent.dependents.pop(node.uid, None)
            if parent.foreground and owner.blocks and (kept is None or not kept.blocks):
                work.append(("delete", uid))
            if kept is None:
                self._drop_if_unused(parent)
        for uid, owner in new.items():
            if uid not in old:
                work += self._add_dependent(owner, node)
        return work

    def _add_dependent(self, owner: Owner, node: Node) -> list[Work]:
        parent = self.nodes.get(owner.uid)
        if parent is None:
            parent = Node(owner.uid, owner.api_version, owner.kind, owner.name, node.namespace)
            self.nodes[owner.uid] = parent
            parent.dependents[node.uid] = node
            return [("delete", owner.uid)]
        parent.dependents[node.uid] = node
        if parent.observed:
            return self._disagreement(parent, owner, node)
        return [] if parent.agrees_with(owner, node.namespace) else [("delete", node.uid)]

    def _drop_if_unused(self, node: Node) -> None:
        """A virtual node lives only as long as somebody refers to it."""
        if not node.observed and not node.dependents:
            del self.nodes[node.uid]

    def _transition(self, node: Node, finalizers: Iterable[str]) -> list[Work]:
        """What the beginning of a deletion sets off."""
        finalizers = tuple(finalizers)
        work: list[Work] = []
        if ORPHAN in finalizers and not node.terminating:
            work.append(("orphan", node.uid))
        node.terminating = True
        if FOREGROUND in finalizers and not node.foreground:
            node.foreground = True
            work += [("delete", dependent) for dependent in node.dependents]
            work.append(("delete", node.uid))
        return work


def group_of(named: Owner | Node) -> str:
    """The API group; "" is core."""
    return named.api_version.rpartition("/")[0]


def _owners(obj: Doc) -> tuple[Owner, ...]:
    references = owner_references(obj)
    if not references:
        return ()
    return tuple(
        Owner(r["apiVersion"], r["kind"], r["name"], r["uid"], bool(r.get("blockOwnerDeletion"))) for r in references
    )

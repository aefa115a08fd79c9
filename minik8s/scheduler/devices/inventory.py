"""All slices, classes and claims as they are known, with what has been decided and not been seen yet on top.

From the decision until the claim is written its allocation is *pending*: it counts, and nobody else may have the claim.
From then until the informer shows the written claim, that is *assumed*. So no device is given away twice. Upstream:
`dra_manager.go` (claimTracker with its assume cache, inFlightAllocations).
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from uuid import UUID

from minik8s.api.resourceclaims import IMPLICIT, allocation_of, is_for_extended_resources
from minik8s.machinery.meta import Doc, controller_of, name_of, namespace_of, revision_of, uid_of
from minik8s.scheduler.devices.pools import Pool, gather_pools
from minik8s.scheduler.devices.slices import PoolId, Slice
from minik8s.scheduler.devices.usage import Usage
from minik8s.scheduler.info import NodeInfo

KEPT_NODES = 20_000
"""Of how many nodes the pools are kept."""
Key = tuple[str, str]


class Inventory:
    """Changed by `set_*` as informers report, and by the plugin between a decision and its report."""

    def __init__(self, rng: Random | None = None) -> None:
        self.usage = Usage()
        self._rng = rng or Random(0)
        self._claims: dict[Key, Doc] = {}
        self._special: dict[str, Doc] = {}
        self._pending: dict[str, Doc] = {}
        self._classes: dict[str, Doc] = {}
        self._by_resource: dict[str, dict[str, Doc]] = {}
        self._slices: dict[str, Slice] = {}
        self._on_node: dict[str, dict[str, Slice]] = {}
        self._shared: dict[str, Slice] = {}
        self._siblings: dict[PoolId, dict[str, Slice]] = {}
        self._pools: dict[str, tuple[Mapping[str, str], list[Pool]]] = {}

    # ------------------------------------------------------------------ claims

    def claim(self, namespace: str, name: str) -> Doc | None:
        """As it stands, what was just written included."""
        return self._claims.get((namespace, name))

    def claim_for_extended(self, pod: str) -> Doc | None:
        """The claim that was made for the extended resources of the pod of that uid."""
        return self._special.get(pod)

    def set_claim(self, old: Doc | None, new: Doc | None) -> None:
        """What the informer has seen: it may lag behind what was assumed."""
        doc = new or old
        if doc is None:
            return
        key = (namespace_of(doc), name_of(doc))
        if new is None:
            if (known := self._claims.pop(key, None)) is not None:
                self._forget_claim(known)
            return
        known = self._claims.get(key)
        if known is None or uid_of(known) != uid_of(new) or revision_of(new) >= revision_of(known):
            self._put(key, new)

    def assume(self, written: Doc) -> None:
        """A claim as the API server answered with it."""
        key = (namespace_of(written), name_of(written))
        known = self._claims.get(key)
        if known is None or revision_of(written) >= revision_of(known):
            self._put(key, written)

    def _put(self, key: Key, claim: Doc) -> None:
        known = self._claims.get(key)
        if known is not None and uid_of(known) != uid_of(claim):
            self._forget_claim(known)
        self._claims[key] = claim
        self._count(uid_of(claim), allocation_of(claim))
        if is_for_extended_resources(claim) and (owner := controller_of(claim)) is not None:
            self._special[owner["uid"]] = claim

    def _forget_claim(self, claim: Doc) -> None:
        self._count(uid_of(claim), None)
        owner = (controller_of(claim) or {}).get("uid", "")
        if (kept := self._special.get(owner)) is not None and uid_of(kept) == uid_of(claim):
            del self._special[owner]

    def _count(self, uid: str, allocation: Doc | None) -> None:
        if uid not in self._pending:
            self.usage.set(uid, allocation)

    # ------------------------------------------------------------------ decisions under way

    def is_pending(self, uid: str) -> bool:
        """Whether an allocation has been decided and not been written."""
        return uid in self._pending

    def reserve(self, uid: str, allocation: Doc) -> None:
        """The claim of that uid shall have this."""
        self._pending[uid] = allocation
        self.usage.set(uid, allocation)

    def release(self, claim: Doc) -> None:
        """What was reserved has been written and assumed, or shall not be; nothing when nothing was."""
        uid = uid_of(claim)
        if self._pending.pop(uid, None) is not None:
            known = self._claims.get((namespace_of(claim), name_of(claim)))
            self.usage.set(uid, allocation_of(known) if known is not None and uid_of(known) == uid else None)

    def new_uid(self) -> str:
        """For a share of a device, or a claim that exists only here."""
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    # ------------------------------------------------------------------ classes

    def device_class(self, name: str) -> Doc | None:
        return self._classes.get(name)

    def class_for(self, resource: str) -> Doc | None:
        """The DeviceClass behind an extended resource: the newest, of equally new ones the first by name."""
        if resource.startswith(IMPLICIT):
            return self._classes.get(resource.removeprefix(IMPLICIT))
        found = self._by_resource.get(resource)
        if not found:
            return None
        newest = max(doc["metadata"].get("creationTimestamp") or "" for doc in found.values())
        return next(found[n] for n in sorted(found) if (found[n]["metadata"].get("creationTimestamp") or "") == newest)

    def set_class(self, old: Doc | None, new: Doc | None) -> None:
        for doc in (self._classes.get(name_of(old)) if old is not None else None, new):
            resource = ((doc or {}).get("spec") or {}).get("extendedResourceName")
            if doc is not None and resource:
                named = self._by_resource.setdefault(resource, {})
                named.pop(name_of(doc), None) if doc is not new else named.update({name_of(doc): doc})
        if new is not None:
            self._classes[name_of(new)] = new
        elif old is not None:
            self._classes.pop(name_of(old), None)

    # ------------------------------------------------------------------ slices

    def pools(self, node: NodeInfo) -> list[Pool]:
        """What the node can reach; gathered again when slices or the node's labels have changed."""
        kept = self._pools.get(node.name)
        if kept is not None and (kept[0] is node.labels or kept[0] == node.labels):
            return kept[1]
        slices = (*self._on_node.get(node.name, {}).values(), *self._shared.values())
        if not slices:
            return []
        siblings = {one.pool: self._siblings[one.pool].values() for one in slices}
        pools = gather_pools(slices, siblings, node.name, node.labels)
        if len(self._pools) >= KEPT_NODES:
            self._pools.clear()
        self._pools[node.name] = (node.labels, pools)
        return pools

    def set_slice(self, old: Doc | None, new: Doc | None) -> None:
        name = name_of(new or old or {"metadata": {"name": ""}})
        if (before := self._slices.pop(name, None)) is not None:
            self._forget(before)
            del self._home(before)[name]
            del self._siblings[before.pool][name]
        if new is not None:
            now = self._slices[name] = Slice(new)
            self._home(now)[name] = now
            self._siblings.setdefault(now.pool, {})[name] = now
            self._forget(now)

    def _home(self, one: Slice) -> dict[str, Slice]:
        return self._on_node.setdefault(one.nodes.name, {}) if one.nodes.name else self._shared

    def _forget(self, one: Slice) -> None:
        """The pools of every node that may see the slice, or others of its pool."""
        for sibling in self._siblings.get(one.pool, {}).values():
            if not sibling.nodes.name:
                self._pools.clear()
                return
            self._pools.pop(sibling.nodes.name, None)

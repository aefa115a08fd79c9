"""DynamicResources: a pod with ResourceClaims goes where its devices are, and gets them before it is bound.

PreEnqueue and PreFilter see to it that the claims are there and can be had, Filter allocates on each node (`devices`),
Reserve keeps what was found on the chosen one, PreBind writes it into the claims. Extended resources that stand for
devices are one more claim, made in PreBind. Pods without any of this are not looked at further.
Upstream: `framework/plugins/dynamicresources`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from minik8s.api.resourceclaims import allocation_of, can_be_reserved, holders_of, is_made_for, is_reserved_for
from minik8s.api.scheduling import NodeSelectorTerm
from minik8s.machinery.meta import Doc, name_of, namespace_of, uid_of
from minik8s.scheduler.claims import ClaimFailed, Claims
from minik8s.scheduler.devices.allocator import STEPS_PER_SECOND, Budget, NodeView, OutOfBudgetError, Pick, allocate
from minik8s.scheduler.devices.binding import has_conditions, is_ready, is_stuck
from minik8s.scheduler.devices.extended import IN_MEMORY, ExtendedResources, Unfit, Variant
from minik8s.scheduler.devices.inventory import Inventory
from minik8s.scheduler.devices.podclaims import Unusable, asked_classes, has_choices, pod_claims, points
from minik8s.scheduler.devices.requests import AllocationError, Wanted, read_claim
from minik8s.scheduler.devices.results import allocation_result
from minik8s.scheduler.framework import (
    SKIP,
    Code,
    CycleState,
    Event,
    Handle,
    PluginFailure,
    PostFilterResult,
    PreFilterResult,
    Snapshot,
    Status,
    normalize_by_max,
)
from minik8s.scheduler.info import NodeInfo, PodInfo

NAME = "DynamicResources"
FILTER_SECONDS, BINDING_SECONDS = 10.0, 600.0
"""DynamicResourcesArgs: filterTimeout and bindingTimeout."""


def _refused(why: str) -> Status:
    return Status(Code.UNRESOLVABLE, (why,), NAME)


_TOO_FEW = _refused("cannot allocate all claims")
_INVALID_POOL = _refused("invalid resource pools were encountered")
_ELSEWHERE = _refused("resourceclaim not available on the node")
_STALE = _refused("cannot schedule extended resource claim")
_TIMED_OUT = _refused("timed out trying to allocate devices")


@attrs.define
class _Claim:
    """One of the pod's claims; `given` is what it gets from this decision, `terms` where what it has can be used."""

    doc: Doc
    terms: tuple[NodeSelectorTerm, ...] | None = None
    given: Doc | None = None


@attrs.define
class _State:
    """What one decision keeps. `picks` by node are those of the claims without an allocation, in their order.

    `wanted` is what these claims ask for.
    """

    claims: list[_Claim] = attrs.field(factory=list)
    budget: Budget = attrs.field(factory=Budget)
    wanted: list[Wanted] | None = None
    picks: dict[str, list[list[Pick]]] = attrs.field(factory=dict)
    extended: ExtendedResources | None = None
    variants: dict[str, Variant] = attrs.field(factory=dict)
    """By node the claim for extended resources; its picks are the last ones."""
    made: _Claim | None = None
    """That of the chosen node; among the claims from then on."""
    unavailable: dict[str, _Claim] = attrs.field(factory=dict)

    @property
    def open(self) -> list[_Claim]:
        """The claims that need an allocation."""
        return [claim for claim in self.claims if allocation_of(claim.doc) is None]

    def choose(self, node: str) -> None:
        """What is asked for as extended resources is from now on a claim like the others."""
        if (variant := self.variants.get(node)) is not None:
            self.made = _Claim(variant.claim)
            self.claims.append(self.made)
            self.wanted = [*(self.wanted or ()), variant.wanted]


class DynamicResources:
    """`claims` writes; without it nothing can be bound (in what only decides)."""

    name = NAME
    local = False
    by_value = True
    events = (
        Event.RESOURCE_CLAIM
        | Event.DEVICE_FREED
        | Event.DEVICE
        | Event.DEVICE_CLASS
        | Event.NODE_ADD
        | Event.NODE_LABEL
        | Event.NODE_ALLOCATABLE
    )

    def __init__(
        self,
        inventory: Inventory,
        claims: Claims | None = None,
        filter_seconds: float = FILTER_SECONDS,
        binding_seconds: float = BINDING_SECONDS,
    ) -> None:
        self._inventory = inventory
        self._claims = claims
        self._steps = int(filter_seconds * STEPS_PER_SECOND) or None
        self._binding_seconds = binding_seconds
        self._handle: Handle | None = None

    def attach(self, handle: Handle) -> None:
        self._handle = handle

    # ------------------------------------------------------------------ the pod

    def pre_enqueue(self, pod: PodInfo) -> Status | None:
        if not pod.spec.get("resourceClaims"):
            return None
        try:
            pod_claims(pod.doc, self._inventory.claim)
        except Unusable as error:
            return _refused(str(error))
        return None

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        extended = bool(pod.scalars) and any(self._inventory.class_for(name) is not None for name, _ in pod.scalars)
        if not extended and not pod.spec.get("resourceClaims"):
            return SKIP
        mine = state.data[NAME] = _State(extended=self._extended(pod) if extended else None)
        try:
            docs = pod_claims(pod.doc, self._inventory.claim)
        except Unusable as error:
            return _refused(str(error))
        if not docs and not extended:
            return SKIP
        for doc in docs:
            if status := self._unusable(pod, doc):
                return status
        mine.claims = [_Claim(doc, _terms(allocation_of(doc))) for doc in docs]
        mine.budget = Budget(self._steps)
        return None

    def _extended(self, pod: PodInfo) -> ExtendedResources:
        if self._claims is not None and not self._claims.has_synced:
            raise PluginFailure("the ResourceClaims are not known yet")  # an earlier attempt's may be among them
        stale = self._inventory.claim_for_extended(pod.uid)
        return ExtendedResources(pod.doc, pod.scalars, stale, self._inventory.new_uid())

    def _unusable(self, pod: PodInfo, claim: Doc) -> Status | None:
        if allocation_of(claim) is not None:
            is_free = can_be_reserved(claim) or is_reserved_for(pod.doc, claim)
            return None if is_free else _refused("resourceclaim in use")
        if self._inventory.is_pending(uid_of(claim)):
            key = f"{namespace_of(claim)}/{name_of(claim)}"
            return _refused(f"resource claim {key} is in the process of being allocated")
        for request, class_ in asked_classes(claim):
            if self._inventory.device_class(class_) is None:
                return _refused(f"request {request}: device class {class_} does not exist")
        return None

    # ------------------------------------------------------------------ nodes

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        mine: _State = state.data[NAME]
        variant = self._variant(mine.extended, node)
        if isinstance(variant, Status):
            return variant
        unavailable = [claim for claim in mine.claims if self._is_unavailable(claim, node)]
        if (mine.open or variant is not None) and (status := self._allocate(mine, variant, node)):
            return status
        if unavailable:
            mine.unavailable |= {uid_of(claim.doc): claim for claim in unavailable}
            return _ELSEWHERE
        return None

    def _is_unavailable(self, claim: _Claim, node: NodeInfo) -> bool:
        """Whether what the claim has cannot be used on the node, or will never be ready."""
        if claim.terms is not None and not any(term.matches(node.name, node.labels) for term in claim.terms):
            return True
        now = None if self._claims is None else self._claims.now()
        return is_stuck(claim.doc, self._binding_seconds, now)

    def _variant(self, extended: ExtendedResources | None, node: NodeInfo) -> Variant | Status | None:
        """The claim for the extended resources that the node does not have. Raises PluginFailure."""
        if extended is None:
            return None
        if extended.stale is not None:
            return _STALE
        try:
            return extended.on(node.allocatable, self._inventory.class_for, self._inventory.device_class)
        except Unfit as error:
            return _refused(str(error))
        except AllocationError as error:
            raise PluginFailure(str(error)) from None

    def _allocate(self, mine: _State, variant: Variant | None, node: NodeInfo) -> Status | None:
        """Raises PluginFailure when something is wrong that no other node would mend."""
        pools = self._inventory.pools(node)
        try:
            if mine.wanted is None:
                mine.wanted = [read_claim(claim.doc, self._inventory.device_class) for claim in mine.open]
            view = NodeView(node.name, node.labels, pools)
            wanted = mine.wanted if variant is None else [*mine.wanted, variant.wanted]
            picks = allocate(wanted, view, self._inventory.usage, mine.budget)
        except OutOfBudgetError:
            return _TIMED_OUT
        except AllocationError as error:
            raise PluginFailure(str(error)) from None
        if picks is None:
            return _INVALID_POOL if any(pool.why_invalid for pool in pools) else _TOO_FEW
        mine.picks[node.name] = picks
        if variant is not None:
            mine.variants[node.name] = variant
        return None

    def post_filter(
        self,
        state: CycleState,
        pod: PodInfo,
        snapshot: Snapshot,
        profile: Any,
        diagnosis: Any,
        statuses: Mapping[str, Status],
    ) -> PostFilterResult:
        """Takes away an allocation that keeps the pod from every node, if nobody else uses it."""
        mine: _State | None = state.data.get(NAME)
        if mine is None and NAME not in state.skip_filter:
            return Status(Code.ERROR, ("not found",), NAME)  # another plugin refused the pod first: upstream's words
        if mine is None or (not mine.claims and mine.extended is None):
            return None, "no new claims to deallocate"
        if mine.extended is not None and mine.extended.stale is not None:
            if self._handle is not None and self._claims is not None:
                self._handle.do(partial(self._claims.delete, mine.extended.stale))
            return None, "deletion of ResourceClaim completed"
        for claim in mine.unavailable.values():
            if all(holder.get("uid") == pod.uid for holder in holders_of(claim.doc)):
                if self._handle is not None and self._claims is not None:
                    self._handle.do(partial(self._claims.deallocate, claim.doc))
                return None, "deallocation of ResourceClaim completed"
        return None, "still not schedulable"

    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None:
        mine: _State | None = state.data.get(NAME)
        return None if mine is not None and any(has_choices(claim.doc) for claim in mine.claims) else SKIP

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """The earlier the alternatives that the node can give, the better."""
        mine: _State = state.data.get(NAME) or _State()
        new = [{pick.request.full_name for pick in picks} for picks in mine.picks.get(node.name, ())]
        known = sum(points(claim.doc, ()) for claim in mine.claims if allocation_of(claim.doc) is not None)
        return known + sum(points(claim.doc, names) for claim, names in zip(mine.open, new, strict=False))

    def normalize(self, state: CycleState, pod: PodInfo, scores: dict[str, int]) -> None:
        normalize_by_max(scores)

    # ------------------------------------------------------------------ the chosen node

    def reserve(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        mine: _State | None = state.data.get(NAME)
        if mine is None:
            return None
        mine.choose(node)
        for claim, wanted, picks in zip(mine.open, mine.wanted or (), mine.picks.get(node, ()), strict=False):
            try:
                claim.given = allocation_result(wanted, picks, node, self._inventory.new_uid)
            except AllocationError as error:
                return Status(Code.ERROR, (str(error),), NAME)
            self._inventory.reserve(uid_of(claim.doc), claim.given)
        if any(claim.given is None for claim in mine.open):
            return Status(Code.ERROR, ("claim allocation not found for node",), NAME)
        state.slow = any(has_conditions(claim.given or allocation_of(claim.doc)) for claim in mine.claims)
        return None

    def unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        mine: _State | None = state.data.get(NAME)
        if mine is None:
            return
        for claim in mine.claims:
            self._inventory.release(claim.doc)
            if claim is mine.made:
                self._take_back(claim.doc)
                continue
            is_written = allocation_of(claim.doc) is not None and is_reserved_for(pod.doc, claim.doc)
            if is_written and self._handle is not None and self._claims is not None:
                self._handle.do(partial(self._claims.unreserve, claim.doc, pod.doc))

    def _take_back(self, claim: Doc) -> None:
        """Deletes the claim for extended resources, if it has been made."""
        if name_of(claim) != IN_MEMORY and self._handle is not None and self._claims is not None:
            self._handle.do(partial(self._claims.delete, claim))

    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        """Writes allocations and reservations; waits where devices have to be made ready."""
        mine: _State | None = state.data.get(NAME)
        if mine is None or not mine.claims or self._claims is None:
            return None
        try:
            for claim in mine.claims:
                if not is_reserved_for(pod.doc, claim.doc):
                    await self._bind(claim, pod, self._claims)
            if mine.made is not None:
                await self._claims.tell(pod.doc, mine.made.doc, mine.variants[node].mappings)
        except (ClaimFailed, OSError) as error:
            return Status(Code.ERROR, (str(error),), NAME)
        if not any(has_conditions(allocation_of(claim.doc)) for claim in mine.claims):
            return None
        return await self._until_ready(mine, pod, node, self._claims)

    async def _bind(self, claim: _Claim, pod: PodInfo, claims: Claims) -> None:
        decided = claim.doc
        try:
            if name_of(decided) == IN_MEMORY:
                claim.doc = await claims.create(decided)
            claim.doc = await claims.bind(claim.doc, claim.given, pod.doc)
            self._inventory.assume(claim.doc)
        finally:
            self._inventory.release(decided)

    async def _until_ready(self, mine: _State, pod: PodInfo, node: str, claims: Claims) -> Status | None:
        if self._handle is not None:
            why = f"waiting for binding conditions for device on node {node}"
            self._handle.event(pod, "Normal", "BindingConditionsPending", why)
        failure = ""

        def is_decided() -> bool:
            nonlocal failure
            for claim in mine.claims:
                claim.doc = self._inventory.claim(namespace_of(claim.doc), name_of(claim.doc)) or claim.doc
                ready, failure = is_ready(claim.doc)
                if failure or not ready:
                    return bool(failure)
            return True

        if not await claims.until(is_decided, self._binding_seconds):
            failure = "device binding timeout"
        return Status(Code.ERROR, (failure,), NAME) if failure else None

    # ------------------------------------------------------------------ waiting

    def hint(self, pod: PodInfo, event: Event, subject: Any) -> bool:
        """Any node, slice or class may do; of claims those of the pod, and those that gave something back."""
        if not event & (Event.RESOURCE_CLAIM | Event.DEVICE_FREED):
            return True
        try:
            mine = pod_claims(pod.doc, self._inventory.claim)
        except Unusable:
            return False
        if event & Event.DEVICE_FREED or is_made_for(pod.doc, subject):
            return True
        return any(uid_of(claim) == uid_of(subject) for claim in mine)


def _terms(allocation: Doc | None) -> tuple[NodeSelectorTerm, ...] | None:
    selector = (allocation or {}).get("nodeSelector")
    return None if selector is None else tuple(map(NodeSelectorTerm.of, selector.get("nodeSelectorTerms") or ()))

"""Brings claims and volumes together, and lets released volumes go.

Upstream: `pkg/controller/volume/persistentvolume`, one controller with two queues; here each queue is a reconciler. One
claim is worked on at a time, and the next only when the cache shows what was bound, so that no volume goes to two.
Recycling is deprecated and not supported: a volume that asks for it fails with an event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from minik8s.api.volumes import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONED_BY,
    STORAGE_PROVISIONER,
    STORAGE_PROVISIONER_BETA,
    claim_reference,
    claims_of,
    class_of,
    is_for,
)
from minik8s.client.lister import Key, key_of
from minik8s.controllers import persistentvolume_plan as plan
from minik8s.controllers.runtime import Context, Reconciler, Watch, mapped
from minik8s.machinery.meta import Doc, Obj, annotations_of, evolve, is_terminating, name_of, namespace_of, revision_of

COMPONENT = "persistentvolume-controller"


def _by_claim(volume: Doc) -> list[str]:
    return [f"{space}/{name}" for space, name in _claim_of(volume)]


def _claim_of(volume: Doc) -> tuple[Key, ...]:
    reference = volume["spec"].get("claimRef") or {}
    return ((reference.get("namespace", ""), reference["name"]),) if reference.get("name") else ()


class PersistentVolumeClaimBinder(Reconciler[Any]):
    """Claims: binds them, asks provisioners for volumes, says why a claim waits."""

    name: ClassVar[str] = "persistentvolume-binder"
    component: ClassVar[str] = COMPONENT
    account: ClassVar[str] = "persistent-volume-binder"
    resource: ClassVar[Resource[Any]] = PERSISTENT_VOLUME_CLAIMS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (PERSISTENT_VOLUME_CLAIMS,)
    workers: ClassVar[int] = 1
    watches: ClassVar[tuple[Watch, ...]] = (
        mapped(PERSISTENT_VOLUMES, "_concerned_by_volume"),
        mapped(STORAGE_CLASSES, "_waiting_for_class"),
        mapped(PODS, lambda _, pod: () if pod["spec"].get("nodeName") else tuple(claims_of(pod))),
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.volumes = self.informers(PERSISTENT_VOLUMES).lister
        self.classes = self.informers(STORAGE_CLASSES).lister
        pods = self.informers(PODS)
        pods.add_index("unscheduled-claim", _unscheduled_claims)
        self.pods = pods.lister

    def _concerned_by_volume(self, volume: Doc) -> Iterable[Key]:
        """The volume's claim, or everybody who might want a volume that is free."""
        if claimed := _claim_of(volume):
            return claimed
        return self._pending(class_of(volume))

    def _waiting_for_class(self, storage_class: Doc) -> Iterable[Key]:
        return self._pending(name_of(storage_class))

    def _pending(self, storage_class: str) -> list[Key]:
        claims = self.lister.all()
        return [key_of(claim) for claim in claims if plan.is_pending(claim) and class_of(claim) == storage_class]

    async def reconcile(self, obj: Doc) -> None:
        if is_terminating(obj) and plan.is_pending(obj):
            return
        decided = plan.plan_claim(
            obj,
            volume=self.volumes.get(obj["spec"].get("volumeName") or ""),
            candidates=self.volumes.all,
            storage_class=self.classes.get(class_of(obj)),
            waiting_pod=self._waiting_pod(obj),
        )
        if isinstance(decided, plan.Bind):
            await self._bind(obj, decided.volume)
        elif isinstance(decided, plan.Provision):
            await self._ask(obj, decided)
        elif isinstance(decided, plan.Lose):
            await self._lose(obj, decided)
        else:
            await self._phase(obj, "Pending")
            if decided.reason:
                self.recorder.event(obj, decided.type, decided.reason, decided.message)

    def _waiting_pod(self, claim: Doc) -> str:
        pods = self.pods.by_index("unscheduled-claim", f"{namespace_of(claim)}/{name_of(claim)}")
        return name_of(pods[0]) if pods else ""

    async def _bind(self, claim: Doc, volume: Doc) -> None:
        """Four writes, each left out where it has been made: volume, its status, claim, its status."""
        bound = await self._claim_volume(claim, volume)
        if (bound.get("status") or {}).get("phase") != "Bound":
            status = {**(bound.get("status") or {}), "phase": "Bound"}
            status.pop("message", None)
            status.pop("reason", None)
            bound = await self.client.update_status(PERSISTENT_VOLUMES, evolve(bound, "status", value=status))
        await self.volumes.caught_up(revision_of(bound))
        annotations = {**annotations_of(claim), BIND_COMPLETED: "yes"}
        if not claim["spec"].get("volumeName"):
            annotations[BOUND_BY_CONTROLLER] = "yes"
        changed = evolve(claim, "metadata", "annotations", value=annotations)
        changed = evolve(changed, "spec", "volumeName", value=name_of(bound))
        if changed != claim:
            claim = await self.client.update(PERSISTENT_VOLUME_CLAIMS, changed)
        status = {"phase": "Bound", "accessModes": bound["spec"].get("accessModes") or []}
        reached = (claim.get("status") or {}).get("capacity") or bound["spec"]["capacity"]
        await self.write_status(claim, {**(claim.get("status") or {}), **status, "capacity": reached})

    async def _claim_volume(self, claim: Doc, volume: Doc) -> Any:
        """The volume with a claimRef that means this very claim."""
        reference = volume["spec"].get("claimRef")
        if reference and reference.get("uid"):
            return volume
        changed = evolve(volume, "spec", "claimRef", value=claim_reference(claim))
        if not reference:  # nobody reserved it: it was our choice, and can be taken back
            annotations = {**annotations_of(volume), BOUND_BY_CONTROLLER: "yes"}
            changed = evolve(changed, "metadata", "annotations", value=annotations)
        return await self.client.update(PERSISTENT_VOLUMES, changed)

    async def _ask(self, claim: Doc, wish: plan.Provision) -> None:
        """Marks the claim for its provisioner."""
        marks = dict.fromkeys((STORAGE_PROVISIONER, STORAGE_PROVISIONER_BETA), wish.provisioner)
        if not annotations_of(claim).items() >= marks.items():
            annotations = {**annotations_of(claim), **marks}
            changed = evolve(claim, "metadata", "annotations", value=annotations)
            claim = await self.client.update(PERSISTENT_VOLUME_CLAIMS, changed)
        await self._phase(claim, "Pending")
        self.recorder.event(claim, "Normal", "ExternalProvisioning", wish.message)

    async def _lose(self, claim: Doc, loss: plan.Lose) -> None:
        if (claim.get("status") or {}).get("phase") != "Lost":
            await self.write_status(claim, {"phase": "Lost"})
            self.recorder.event(claim, "Warning", loss.reason, loss.message)

    async def _phase(self, claim: Doc, phase: str) -> None:
        await self.write_status(claim, {**(claim.get("status") or {}), "phase": phase})


def _unscheduled_claims(pod: Doc) -> Iterable[str]:
    return () if pod["spec"].get("nodeName") else [f"{namespace}/{name}" for namespace, name in claims_of(pod)]


class PersistentVolumeBinder(Reconciler[Any]):
    """Volumes: says in which phase they are, frees those whose claim went elsewhere, reclaims released ones."""

    name: ClassVar[str] = "persistentvolume-binder"
    component: ClassVar[str] = COMPONENT
    account: ClassVar[str] = "persistent-volume-binder"
    resource: ClassVar[Resource[Any]] = PERSISTENT_VOLUMES
    wakes: ClassVar[tuple[Resource[Any], ...]] = (PERSISTENT_VOLUMES,)
    watches: ClassVar[tuple[Watch, ...]] = (mapped(PERSISTENT_VOLUME_CLAIMS, "_volumes_of"),)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.claims = self.informers(PERSISTENT_VOLUME_CLAIMS).lister
        self.informer.add_index("claim", _by_claim)

    def _volumes_of(self, claim: Doc) -> Iterable[Key]:
        """What the claim names, and what names the claim."""
        named = [("", name)] if (name := claim["spec"].get("volumeName")) else []
        naming = self.lister.by_index("claim", f"{namespace_of(claim)}/{name_of(claim)}")
        return dict.fromkeys([*named, *(key_of(volume) for volume in naming)])

    async def reconcile(self, obj: Doc) -> None:
        decided = plan.plan_volume(obj, await self._claim(obj))
        if decided.unbind:
            obj = await self._unbind(obj)
        obj = await self._set_phase(obj, decided.phase)
        if decided.reclaim and not is_terminating(obj):
            await self._reclaim(obj)

    async def _claim(self, volume: Doc) -> Doc | None:
        """The claim that the volume names; before it counts as gone the server is asked, for a cache may be behind."""
        for namespace, name in _claim_of(volume):
            claim = self.claims.get(name, namespace)
            if claim is not None and is_for(volume, claim):
                return claim
            if volume["spec"]["claimRef"].get("uid"):
                return await self.client.find(PERSISTENT_VOLUME_CLAIMS, name, namespace=namespace)
        return None

    async def _unbind(self, volume: Doc) -> Any:
        reference = plan.unbound_reference(volume)
        annotations = {k: v for k, v in annotations_of(volume).items() if k != BOUND_BY_CONTROLLER}
        spec = {k: v for k, v in volume["spec"].items() if k != "claimRef"}
        changed: Obj = {**volume, "spec": {**spec, "claimRef": reference} if reference else spec}
        return await self.client.update(
            PERSISTENT_VOLUMES, evolve(changed, "metadata", "annotations", value=annotations)
        )

    async def _set_phase(self, volume: Doc, phase: plan.VolumePhase) -> Any:
        return await self.write_status(volume, {**(volume.get("status") or {}), "phase": phase})

    async def _reclaim(self, volume: Doc) -> None:
        policy = volume["spec"].get("persistentVolumeReclaimPolicy")
        if policy == "Recycle":
            await self._fail(volume, "VolumeFailedRecycle", "Volume has no recycler: recycling is not supported")
        elif policy == "Delete" and PROVISIONED_BY not in annotations_of(volume):
            why = f'error getting deleter volume plugin for volume "{name_of(volume)}"'
            await self._fail(volume, "VolumeFailedDelete", f"{why}: no deletable volume plugin matched")

    async def _fail(self, volume: Doc, reason: str, message: str) -> None:
        if (volume.get("status") or {}).get("phase") == "Failed":
            return
        await self.write_status(volume, {**(volume.get("status") or {}), "phase": "Failed", "message": message})
        self.recorder.event(volume, "Warning", reason, message)

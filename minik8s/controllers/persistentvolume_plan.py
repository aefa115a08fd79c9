"""What becomes of claims and volumes, decided without touching any.

Upstream: `pkg/controller/volume/persistentvolume/pv_controller.go`, whose phases, reasons and texts these are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import attrs

from minik8s.api.volumes import (
    BOUND_BY_CONTROLLER,
    NO_PROVISIONER,
    PROVISIONED_BY,
    SELECTED_NODE,
    best_volume,
    class_of,
    is_bound,
    is_delayed,
    is_for,
)
from minik8s.machinery.meta import Doc, annotations_of, is_terminating, name_of, uid_of

NOTHING_FITS = "no persistent volumes available for this claim and no storage class is set"
FIRST_CONSUMER = "waiting for first consumer to be created before binding"
EXTERNAL = (
    "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system "
    "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly "
    "registered."
)


@attrs.frozen
class Bind:
    """The claim gets this volume; what of it has been done already is left alone."""

    volume: Doc


@attrs.frozen
class Provision:
    """Somebody has to make a volume: the class's provisioner."""

    provisioner: str

    @property
    def message(self) -> str:
        return EXTERNAL.format(self.provisioner)


@attrs.frozen
class Wait:
    """The claim is Pending; `reason` "" is nothing to tell."""

    reason: str = ""
    message: str = ""
    type: Literal["Normal", "Warning"] = "Normal"


@attrs.frozen
class Lose:
    """The claim was bound and has lost its volume for good."""

    reason: str
    message: str


ClaimPlan = Bind | Provision | Wait | Lose


def plan_claim(
    claim: Doc,
    *,
    volume: Doc | None,
    candidates: Callable[[], Iterable[Doc]],
    storage_class: Doc | None,
    waiting_pod: str = "",
) -> ClaimPlan:
    """What to do for a claim.

    volume          the one that spec.volumeName names, None when there is none
    candidates      all volumes, asked for only when one has to be found
    storage_class   the claim's, None when it names none or one that is not there
    waiting_pod     a pod that uses the claim and is not scheduled yet, "" when there is none
    """
    if is_bound(claim):
        return _bound(claim, volume)
    if claim["spec"].get("volumeName"):
        return _asked_for(claim, volume)
    return _unbound(claim, candidates, storage_class, waiting_pod)


def _bound(claim: Doc, volume: Doc | None) -> ClaimPlan:
    if volume is None:
        return Lose("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    if not volume["spec"].get("claimRef") or is_for(volume, claim):
        return Bind(volume)
    return Lose("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")


def _asked_for(claim: Doc, volume: Doc | None) -> ClaimPlan:
    """The user named a volume; it may not be there yet."""
    if volume is None:
        return Wait()
    if not volume["spec"].get("claimRef") or is_for(volume, claim):
        return Bind(volume)
    return Wait("FailedBinding", f'volume "{name_of(volume)}" already bound to a different claim.', "Warning")


def _unbound(
    claim: Doc, candidates: Callable[[], Iterable[Doc]], storage_class: Doc | None, waiting_pod: str
) -> ClaimPlan:
    delayed = is_delayed(storage_class) and SELECTED_NODE not in annotations_of(claim)
    volumes = candidates()
    if delayed:  # only what was made for this claim: everything else is the scheduler's to choose
        volumes = [volume for volume in volumes if volume["spec"].get("claimRef")]
    if found := best_volume(claim, volumes):
        return Bind(found)
    if delayed:
        if waiting_pod:
            return Wait("WaitForPodScheduled", f"waiting for pod {waiting_pod} to be scheduled")
        return Wait("WaitForFirstConsumer", FIRST_CONSUMER)
    name = class_of(claim)
    if not name:
        return Wait("FailedBinding", NOTHING_FITS)
    if storage_class is None:
        return Wait("ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found', "Warning")
    if storage_class["provisioner"] == NO_PROVISIONER:
        return Wait("FailedBinding", NOTHING_FITS)
    return Provision(storage_class["provisioner"])


VolumePhase = Literal["Available", "Bound", "Released", "Failed"]


@attrs.frozen
class VolumePlan:
    """The phase a volume is in, and what else has to happen to it.

    unbind      its claim went to another volume: it is free again
    reclaim     the volume's reclaim policy has to be carried out
    """

    phase: VolumePhase
    unbind: bool = False
    reclaim: bool = False


def plan_volume(volume: Doc, claim: Doc | None) -> VolumePlan:
    """What a volume is; `claim` is the one its claimRef names, None when there is none of that uid."""
    reference = volume["spec"].get("claimRef")
    if not reference or not reference.get("uid"):
        return VolumePlan("Available")
    if claim is None or uid_of(claim) != reference["uid"]:
        failed = (volume.get("status") or {}).get("phase") == "Failed"
        return VolumePlan("Failed" if failed else "Released", reclaim=True)
    wanted = claim["spec"].get("volumeName") or ""
    if wanted == name_of(volume):
        return VolumePlan("Bound")
    if not wanted:  # the claim is about to be told
        return VolumePlan((volume.get("status") or {}).get("phase") or "Available")
    if PROVISIONED_BY in annotations_of(volume) and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
        return VolumePlan("Released", reclaim=True)
    return VolumePlan("Available", unbind=True)


def unbound_reference(volume: Doc) -> Doc | None:
    """The claimRef of a volume that is let go: none, or what an administrator had reserved, without its uid."""
    if BOUND_BY_CONTROLLER in annotations_of(volume):
        return None
    return {k: v for k, v in volume["spec"]["claimRef"].items() if k not in ("uid", "resourceVersion")}


def is_pending(claim: Doc) -> bool:
    """Whether a new volume or class could matter to the claim."""
    return not is_bound(claim) and not is_terminating(claim)

"""What becomes of claims and volumes: every case of the plan once."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.volumes import BIND_COMPLETED, BOUND_BY_CONTROLLER, PROVISIONED_BY, SELECTED_NODE
from minik8s.controllers.persistentvolume_plan import (
    FIRST_CONSUMER,
    NOTHING_FITS,
    Bind,
    Lose,
    Provision,
    VolumePlan,
    Wait,
    plan_claim,
    plan_volume,
    unbound_reference,
)

REFERENCE = {"namespace": "shop", "name": "data", "uid": "u1"}
FAST = {"metadata": {"name": "fast"}, "provisioner": "example.com/disk", "volumeBindingMode": "Immediate"}
LATE = {**FAST, "volumeBindingMode": "WaitForFirstConsumer"}
MANUAL = {**FAST, "provisioner": "kubernetes.io/no-provisioner"}


def make_claim(*marks: str, volume: str = "", storage_class: str = "fast") -> Any:
    spec: Any = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    spec |= {"storageClassName": storage_class} if storage_class else {}
    spec |= {"volumeName": volume} if volume else {}
    metadata = {"name": "data", "namespace": "shop", "uid": "u1", "annotations": dict.fromkeys(marks, "yes")}
    return {"metadata": metadata, "spec": spec}


def make_volume(*marks: str, claim: Any = None, policy: str = "Retain", phase: str = "Available") -> Any:
    spec: Any = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "storageClassName": "fast"}
    spec |= {"claimRef": claim} if claim else {}
    metadata = {"name": "v", "annotations": dict.fromkeys(marks, "yes")}
    return {
        "metadata": metadata,
        "spec": {**spec, "persistentVolumeReclaimPolicy": policy},
        "status": {"phase": phase},
    }


FREE, MINE, OTHERS = make_volume(), make_volume(claim=REFERENCE), make_volume(claim={**REFERENCE, "uid": "u2"})
LOST = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
TWICE = "Two claims are bound to the same volume, this one is bound incorrectly"
ELSEWHERE = 'volume "v" already bound to a different claim.'


@pytest.mark.parametrize(
    ("claim", "volume", "others", "storage_class", "expected"),
    [
        (make_claim(), None, [FREE], FAST, Bind(FREE)),
        (make_claim(), None, [OTHERS], FAST, Provision("example.com/disk")),
        (make_claim(), None, [], MANUAL, Wait("FailedBinding", NOTHING_FITS)),
        (make_claim(storage_class=""), None, [], None, Wait("FailedBinding", NOTHING_FITS)),
        (
            make_claim(),
            None,
            [],
            None,
            Wait("ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found', "Warning"),
        ),
        (make_claim(), None, [FREE], LATE, Wait("WaitForFirstConsumer", FIRST_CONSUMER)),
        (make_claim(), None, [MINE], LATE, Bind(MINE)),
        (make_claim(SELECTED_NODE), None, [], LATE, Provision("example.com/disk")),
        (make_claim(volume="v"), None, [FREE], FAST, Wait()),
        (make_claim(volume="v"), FREE, [], FAST, Bind(FREE)),
        (make_claim(volume="v"), MINE, [], FAST, Bind(MINE)),
        (make_claim(volume="v"), OTHERS, [], FAST, Wait("FailedBinding", ELSEWHERE, "Warning")),
        (make_claim(BIND_COMPLETED, volume="v"), MINE, [], FAST, Bind(MINE)),
        (make_claim(BIND_COMPLETED, volume="v"), None, [], FAST, Lose("ClaimLost", LOST)),
        (make_claim(BIND_COMPLETED, volume="v"), OTHERS, [], FAST, Lose("ClaimMisbound", TWICE)),
    ],
)
def test_claims(claim: Any, volume: Any, others: list[Any], storage_class: Any, expected: Any) -> None:
    """Found, made, waited for or lost, with upstream's reasons and texts."""
    assert plan_claim(claim, volume=volume, candidates=lambda: others, storage_class=storage_class) == expected


def test_a_pod_that_is_not_scheduled_yet_is_named() -> None:
    """A delayed claim whose consumer exists says which pod it waits for."""
    decided = plan_claim(make_claim(), volume=None, candidates=list, storage_class=LATE, waiting_pod="web-0")
    assert decided == Wait("WaitForPodScheduled", "waiting for pod web-0 to be scheduled")


@pytest.mark.parametrize(
    ("volume", "claim", "expected"),
    [
        (FREE, None, VolumePlan("Available")),
        (make_volume(claim={"namespace": "shop", "name": "data"}), None, VolumePlan("Available")),
        (MINE, make_claim(volume="v"), VolumePlan("Bound")),
        (MINE, make_claim(), VolumePlan("Available")),
        (make_volume(claim=REFERENCE, phase="Bound"), make_claim(), VolumePlan("Bound")),
        (MINE, None, VolumePlan("Released", reclaim=True)),
        (OTHERS, make_claim(volume="v"), VolumePlan("Released", reclaim=True)),
        (make_volume(claim=REFERENCE, phase="Failed"), None, VolumePlan("Failed", reclaim=True)),
        (MINE, make_claim(volume="w"), VolumePlan("Available", unbind=True)),
        (
            make_volume(PROVISIONED_BY, claim=REFERENCE, policy="Delete"),
            make_claim(volume="w"),
            VolumePlan("Released", reclaim=True),
        ),
    ],
)
def test_volumes(volume: Any, claim: Any, expected: VolumePlan) -> None:
    """The phase follows from what the claimRef names, and from what that names in turn."""
    assert plan_volume(volume, claim) == expected


def test_letting_go() -> None:
    """What we bound is forgotten whole; what an administrator reserved keeps the name, not the uid."""
    assert unbound_reference(make_volume(BOUND_BY_CONTROLLER, claim=REFERENCE)) is None
    assert unbound_reference(make_volume(claim=REFERENCE)) == {"namespace": "shop", "name": "data"}

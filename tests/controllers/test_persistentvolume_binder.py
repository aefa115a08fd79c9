"""Claims and volumes find each other and part again, against a real API server."""

from __future__ import annotations

from typing import Any

from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from minik8s.api.volumes import BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE, STORAGE_PROVISIONER
from minik8s.controllers.ephemeral_volume import EphemeralVolumeController
from minik8s.controllers.garbagecollector import GarbageCollector
from minik8s.controllers.hostpath_provisioner import HostPathDeleter, HostPathProvisioner
from minik8s.controllers.persistentvolume_binder import PersistentVolumeBinder, PersistentVolumeClaimBinder
from minik8s.controllers.volume_protection import PVCProtectionController, PVProtectionController
from minik8s.machinery.meta import parse_time

BINDERS = (PersistentVolumeClaimBinder, PersistentVolumeBinder)
PROTECTION = (PVCProtectionController, PVProtectionController)
PROVISIONING = (HostPathProvisioner, HostPathDeleter)
STANDARD = {"provisioner": "minik8s.io/host-path", "allowVolumeExpansion": True}


def claim_spec(size: str = "1Gi", **spec: Any) -> Any:
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}


def volume_spec(size: str = "1Gi", **spec: Any) -> Any:
    return {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "hostPath": {"path": "/x"}, **spec}


async def phase(world: Any, plural: str, name: str, wanted: str) -> Any:
    """The object once it is in that phase."""
    namespace = "default" if plural == "persistentvolumeclaims" else ""

    async def reached() -> Any:
        found = await world.get(plural, name, namespace)
        return found if found and found["status"].get("phase") == wanted else None

    return await world.until(reached)


def test_static_binding_and_release(virtual: Any, start: Any) -> None:
    """The smallest volume that suits is bound, both sides say so, and a deleted claim leaves it Released."""

    async def body(clock: Any) -> None:
        async with start(clock, *BINDERS, *PROTECTION) as world:
            await world.add("persistentvolumes", "large", spec=volume_spec("5Gi"))
            await world.add("persistentvolumes", "small", spec=volume_spec("2Gi"))
            await phase(world, "persistentvolumes", "small", "Available")
            await world.add("persistentvolumeclaims", "data", "default", spec=claim_spec(storageClassName=""))
            claim = await phase(world, "persistentvolumeclaims", "data", "Bound")
            assert claim["spec"]["volumeName"] == "small"
            assert claim["status"]["capacity"] == {"storage": "2Gi"}
            assert claim["status"]["accessModes"] == ["ReadWriteOnce"]
            marks = claim["metadata"]["annotations"]
            assert (marks[BIND_COMPLETED], marks[BOUND_BY_CONTROLLER]) == ("yes", "yes")
            volume = await phase(world, "persistentvolumes", "small", "Bound")
            assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
            await phase(world, "persistentvolumes", "large", "Available")
            await world.quiet(60)
            await world.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")
            released = await phase(world, "persistentvolumes", "small", "Released")
            bound, freed = (parse_time(v["status"]["lastPhaseTransitionTime"]) for v in (volume, released))
            assert (freed - bound).total_seconds() >= 60, "a new phase has its own time"

    virtual(body)


def test_two_claims_one_volume(virtual: Any, start: Any) -> None:
    """One volume never goes to two claims; the second gets the next that comes."""

    async def body(clock: Any) -> None:
        async with start(clock, *BINDERS) as world:
            for name in ("a", "b"):
                await world.add("persistentvolumeclaims", name, "default", spec=claim_spec(storageClassName=""))
            await world.quiet()
            assert {e["message"] for e in await world.events("FailedBinding")} == {
                "no persistent volumes available for this claim and no storage class is set"
            }
            await world.add("persistentvolumes", "v1", spec=volume_spec())
            await world.quiet()
            claims = [await world.get("persistentvolumeclaims", name, "default") for name in ("a", "b")]
            assert sorted(claim["status"]["phase"] for claim in claims) == ["Bound", "Pending"]
            await world.add("persistentvolumes", "v2", spec=volume_spec())
            for name in ("a", "b"):
                await phase(world, "persistentvolumeclaims", name, "Bound")

    virtual(body)


def test_lost_claim(virtual: Any, start: Any) -> None:
    """A bound claim whose volume goes away is Lost, with a warning."""

    async def body(clock: Any) -> None:
        async with start(clock, *BINDERS) as world:
            await world.add("persistentvolumes", "v", spec=volume_spec())
            await world.add("persistentvolumeclaims", "data", "default", spec=claim_spec(storageClassName=""))
            await phase(world, "persistentvolumeclaims", "data", "Bound")
            await world.client.patch(PERSISTENT_VOLUMES, "v", {"metadata": {"finalizers": None}})
            await world.client.delete(PERSISTENT_VOLUMES, "v")
            await phase(world, "persistentvolumeclaims", "data", "Lost")
            assert [event["type"] for event in await world.events("ClaimLost")] == ["Warning"]

    virtual(body)


def test_volumes_that_nobody_can_delete(virtual: Any, start: Any) -> None:
    """A released volume whose policy nobody here carries out is Failed and says why."""

    async def body(clock: Any) -> None:
        async with start(clock, *BINDERS, *PROTECTION) as world:
            for name, policy in (("d", "Delete"), ("r", "Recycle")):
                spec = volume_spec(persistentVolumeReclaimPolicy=policy, storageClassName=name)
                await world.add("persistentvolumes", name, spec=spec)
                await world.add("persistentvolumeclaims", name, "default", spec=claim_spec(storageClassName=name))
                await phase(world, "persistentvolumeclaims", name, "Bound")
                await world.client.delete(PERSISTENT_VOLUME_CLAIMS, name, namespace="default")
                await phase(world, "persistentvolumes", name, "Failed")
            assert "no deletable volume plugin" in (await world.events("VolumeFailedDelete"))[0]["message"]
            assert await world.events("VolumeFailedRecycle")

    virtual(body)


def test_provisioning(virtual: Any, start: Any) -> None:
    """A claim of our class gets a volume of its own, which grows with it and goes with it."""

    async def body(clock: Any) -> None:
        async with start(clock, *BINDERS, *PROTECTION, *PROVISIONING) as world:
            await world.add("storageclasses", "standard", **STANDARD, volumeBindingMode="Immediate")
            await world.add("persistentvolumeclaims", "data", "default", spec=claim_spec(storageClassName="standard"))
            claim = await phase(world, "persistentvolumeclaims", "data", "Bound")
            name = f"pvc-{claim['metadata']['uid']}"
            assert claim["spec"]["volumeName"] == name
            assert claim["metadata"]["annotations"][STORAGE_PROVISIONER] == "minik8s.io/host-path"
            volume = await phase(world, "persistentvolumes", name, "Bound")
            assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
            assert [e["message"] for e in await world.events("ProvisioningSucceeded")] == [
                f"Successfully provisioned volume {name}"
            ]
            larger = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
            await world.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", larger, namespace="default")

            async def grown() -> bool:
                found = await world.get("persistentvolumeclaims", "data", "default")
                return bool(found["status"]["capacity"] == {"storage": "3Gi"})

            await world.until(grown)
            await world.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")
            await world.until_gone("persistentvolumes", name)

    virtual(body)


def test_refused_provisioning(virtual: Any, start: Any) -> None:
    """What a directory cannot be is refused with an event that names it; the claim waits."""

    async def body(clock: Any) -> None:
        async with start(clock, *BINDERS, *PROVISIONING) as world:
            await world.add("storageclasses", "standard", **STANDARD, volumeBindingMode="Immediate")
            spec = claim_spec(storageClassName="standard", volumeMode="Block")
            await world.add("persistentvolumeclaims", "raw", "default", spec=spec)
            await phase(world, "persistentvolumeclaims", "raw", "Pending")
            await world.quiet()
            assert [event["message"] for event in await world.events("ProvisioningFailed")] == [
                'failed to provision volume with StorageClass "standard": block volumes are not supported'
            ]

    virtual(body)


def test_delayed_binding(virtual: Any, start: Any) -> None:
    """A claim of a delayed class waits for a node, then is provisioned for."""

    async def body(clock: Any) -> None:
        async with start(clock, *BINDERS, *PROVISIONING) as world:
            await world.add("storageclasses", "standard", **STANDARD, volumeBindingMode="WaitForFirstConsumer")
            await world.add("persistentvolumeclaims", "data", "default", spec=claim_spec(storageClassName="standard"))
            await world.quiet()
            assert await world.events("WaitForFirstConsumer")
            selected = {"metadata": {"annotations": {SELECTED_NODE: "node-1"}}}
            await world.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", selected, namespace="default")
            await phase(world, "persistentvolumeclaims", "data", "Bound")

    virtual(body)


def test_ephemeral_volumes(virtual: Any, start: Any) -> None:
    """An ephemeral volume gets a claim that its pod owns, and that goes with it; a stranger's claim is left alone."""

    async def body(clock: Any) -> None:
        async with start(clock, EphemeralVolumeController, GarbageCollector, *PROTECTION) as world:
            template = {"metadata": {"labels": {"app": "x"}}, "spec": claim_spec()}
            volume = {"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}
            spec = {"containers": [{"name": "c", "image": "x"}], "volumes": [volume]}
            await world.add("persistentvolumeclaims", "q-scratch", "default", spec=claim_spec())
            for name in ("p", "q"):
                await world.add("pods", name, "default", spec=spec)
            claim = await world.until_there("persistentvolumeclaims", "p-scratch", "default")
            assert claim["metadata"]["labels"] == {"app": "x"}
            assert claim["metadata"]["ownerReferences"][0]["name"] == "p"
            await world.quiet()
            assert ["pod is not owner" in event["message"] for event in await world.events("FailedBinding")] == [True]
            await world.client.delete(PODS, "p", namespace="default", grace_period=0)
            await world.until_gone("persistentvolumeclaims", "p-scratch", "default")

    virtual(body)

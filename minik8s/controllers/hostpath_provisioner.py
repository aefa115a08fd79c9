"""A dynamic provisioner: volumes are directories of this machine, made for claims of the class `standard`.

What a real cluster gets from a CSI driver or kind from its local-path provisioner. The protocol is that of upstream's
external provisioners (`sig-storage-lib-external-provisioner`): a claim that bears our name, and a node where its class
waits for one, gets a PersistentVolume that is already made out to it; a released volume with reclaim policy Delete
is removed with its data, which a finalizer on the volume guarantees. The directory itself is made by the kubelet that
mounts it first. All nodes are on one machine, so that volumes reach every node.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

import anyio.to_thread

from minik8s.api.resource import Resource
from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from minik8s.api.volumes import (
    PROVISIONED_BY,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    capacity,
    claim_reference,
    class_of,
    is_delayed,
    requested,
)
from minik8s.client.lister import Key
from minik8s.controllers.runtime import Context, Reconciler, Watch, mapped
from minik8s.machinery.errors import AlreadyExists
from minik8s.machinery.meta import Doc, Obj, annotations_of, evolve, is_terminating, name_of, namespace_of, uid_of

PROVISIONER = "minik8s.io/host-path"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
DEFAULT_CLASS: Obj = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": PROVISIONER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": True,
}
"""The StorageClass of every cluster whose controllers include this one; name and mode are kind's."""


def plan_volume(claim: Doc, storage_class: Doc, path: Path) -> Obj:
    """The PersistentVolume for a claim."""
    spec: Obj = {
        "accessModes": claim["spec"].get("accessModes") or [],
        "capacity": {"storage": str(requested(claim))},
        "claimRef": claim_reference(claim),
        "hostPath": {"path": str(path), "type": "DirectoryOrCreate"},
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
        "storageClassName": name_of(storage_class),
        "volumeMode": "Filesystem",
    }
    if options := storage_class.get("mountOptions"):
        spec["mountOptions"] = options
    annotations = {PROVISIONED_BY: PROVISIONER}
    metadata: Obj = {"name": volume_name(claim), "annotations": annotations, "finalizers": [FINALIZER]}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


def volume_name(claim: Doc) -> str:
    """`pvc-<uid>`, as all external provisioners name their volumes."""
    return f"pvc-{uid_of(claim)}"


def refusal(claim: Doc) -> str:
    """Why no volume can be made for the claim, "" when one can."""
    if claim["spec"].get("volumeMode") == "Block":
        return "block volumes are not supported"
    if claim["spec"].get("selector"):
        return "claim Selector is not supported"
    return "a data source is not supported" if claim["spec"].get("dataSource") else ""


class HostPathProvisioner(Reconciler[Any]):
    """Claims: makes the volumes, and larger ones of those that are to grow."""

    name: ClassVar[str] = "hostpath-provisioner"
    component: ClassVar[str] = PROVISIONER
    resource: ClassVar[Resource[Any]] = PERSISTENT_VOLUME_CLAIMS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (PERSISTENT_VOLUME_CLAIMS,)
    watches: ClassVar[tuple[Watch, ...]] = (mapped(STORAGE_CLASSES, "_of_class"),)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.classes = self.informers(STORAGE_CLASSES).lister
        self.volumes = self.informers(PERSISTENT_VOLUMES).lister

    def _of_class(self, storage_class: Doc) -> list[Key]:
        claims = self.lister.all()
        return [(namespace_of(c), name_of(c)) for c in claims if class_of(c) == name_of(storage_class)]

    async def reconcile(self, obj: Doc) -> None:
        storage_class = self.classes.get(class_of(obj))
        if is_terminating(obj) or storage_class is None or storage_class["provisioner"] != PROVISIONER:
            return
        if obj["spec"].get("volumeName"):
            await self._expand(obj, storage_class)
        elif annotations_of(obj).get(STORAGE_PROVISIONER) == PROVISIONER and (
            not is_delayed(storage_class) or SELECTED_NODE in annotations_of(obj)
        ):
            await self._provision(obj, storage_class)

    async def _provision(self, claim: Doc, storage_class: Doc) -> None:
        name = volume_name(claim)
        if self.volumes.get(name) is not None:
            return
        if why := refusal(claim):
            message = f'failed to provision volume with StorageClass "{name_of(storage_class)}": {why}'
            self.recorder.event(claim, "Warning", "ProvisioningFailed", message)
            return
        where = f'"{namespace_of(claim)}/{name_of(claim)}"'
        self.recorder.event(
            claim, "Normal", "Provisioning", f"External provisioner is provisioning volume for claim {where}"
        )
        volume: Any = plan_volume(claim, storage_class, self.context.volumes / name)
        try:
            await self.client.create(PERSISTENT_VOLUMES, volume)
        except AlreadyExists:
            return
        self.recorder.event(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")

    async def _expand(self, claim: Doc, storage_class: Doc) -> None:
        """A directory has no size: to grow is to say so, on the volume and then on the claim."""
        volume = self.volumes.get(claim["spec"]["volumeName"])
        status = claim.get("status") or {}
        if volume is None or status.get("phase") != "Bound" or not storage_class.get("allowVolumeExpansion"):
            return
        if annotations_of(volume).get(PROVISIONED_BY) != PROVISIONER:
            return
        wanted = requested(claim)
        if capacity(volume) < wanted:
            grown = evolve(volume, "spec", "capacity", value={"storage": str(wanted)})
            volume = await self.client.update(PERSISTENT_VOLUMES, grown)
        if (status.get("capacity") or {}).get("storage") != str(capacity(volume)):
            await self.write_status(claim, {**status, "capacity": {"storage": str(capacity(volume))}})
            self.recorder.event(claim, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded")


class HostPathDeleter(Reconciler[Any]):
    """Volumes: removes released ones, and the data of those that go."""

    name: ClassVar[str] = "hostpath-provisioner"
    component: ClassVar[str] = PROVISIONER
    resource: ClassVar[Resource[Any]] = PERSISTENT_VOLUMES
    wakes: ClassVar[tuple[Resource[Any], ...]] = (PERSISTENT_VOLUMES,)

    async def reconcile(self, obj: Doc) -> None:
        if annotations_of(obj).get(PROVISIONED_BY) != PROVISIONER:
            return
        spec, phase = obj["spec"], (obj.get("status") or {}).get("phase")
        finalizers = obj["metadata"].get("finalizers") or []
        if is_terminating(obj):
            if finalizers == [FINALIZER]:  # nobody uses it any more
                if spec.get("persistentVolumeReclaimPolicy") == "Delete":
                    await anyio.to_thread.run_sync(remove_data, obj, self.context.volumes)
                await self.client.update(PERSISTENT_VOLUMES, evolve(obj, "metadata", "finalizers", value=[]))
        elif phase == "Released" and spec.get("persistentVolumeReclaimPolicy") == "Delete":
            await self.client.delete(PERSISTENT_VOLUMES, name_of(obj), uid=uid_of(obj))


def remove_data(volume: Doc, root: Path) -> None:
    """Removes the volume's directory; a path that is not one of ours under `root` is left alone."""
    path = Path(volume["spec"]["hostPath"]["path"])
    if path.parent.resolve() == root.resolve() and path.name == name_of(volume) and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)

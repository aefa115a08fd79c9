"""From a pod's claim to the volume behind it, and to the directory of this machine that it is.

Upstream: pkg/kubelet/volumemanager/populator (getPVCExtractPV), pkg/volume/local, pkg/volume/hostpath.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from minik8s.api.volumes import ephemeral_claim, reaches
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.volumes import hostpath
from minik8s.kubelet.volumes.failures import MountError, NoDevice, NotInitialized, NotProcessed, WrongNode
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, is_terminating, labels_of, name_of, namespace_of


@attrs.frozen
class HostDirectory:
    """Where a volume lies on this machine; `takes_group` tells that fsGroup is for it, if it is not ours anyway.

    What is `ours` goes with the pod, whose storage it counts as: `payload` is kept up to date, `empty` is the pod's.
    """

    path: Path
    read_only: bool = False
    takes_group: bool = False
    ours: Literal["", "payload", "empty"] = ""


async def host_directory(node: NodeContext, pod: Doc, volume: Doc, *, device: bool) -> HostDirectory:
    """The directory of a hostPath volume, or of a claim whose volume is one; `device`: somebody wants it as one.

    Raises MountError.
    """
    claim_name = _claim_name(pod, volume)
    if not claim_name:
        return HostDirectory(_host_path(volume, ""))
    source = volume.get("persistentVolumeClaim") or {}
    persistent = await _persistent_volume(node, pod, claim_name)
    spec, name = persistent["spec"], name_of(persistent)
    mode = spec.get("volumeMode") or "Filesystem"
    if (mode == "Block") is not device:
        field = "volumeDevices" if device else "volumeMounts"
        raise NotProcessed(f"volume {volume['name']} has volumeMode {mode}, but is specified in {field}")
    if device:
        raise NoDevice("block volumes are not supported: nobody without root can give a container a device", name)
    if not reaches(persistent, node.name, labels_of(node.dispatch.node_informer.lister.get(node.name) or {})):
        raise WrongNode("no matching NodeSelectorTerms", name)
    read_only = bool(source.get("readOnly"))
    if "local" in spec:
        return HostDirectory(_local_path(spec, name), read_only, takes_group=not read_only)
    return HostDirectory(_host_path(spec, name), read_only)


def _local_path(spec: Doc, name: str) -> Path:
    path = Path(spec["local"]["path"])
    if not path.exists():
        raise NotInitialized(f'path "{path}" does not exist', name)
    return path


def _host_path(source: Doc, name: str) -> Path:
    if (host := source.get("hostPath")) is None:
        raise MountError("no volume plugin matched", name)
    path = Path(host["path"])
    hostpath.prepare(path, host.get("type") or "", name)
    return path


async def _persistent_volume(node: NodeContext, pod: Doc, claim_name: str) -> Doc:
    namespace = namespace_of(pod)
    try:
        claim = await node.client.get(PERSISTENT_VOLUME_CLAIMS, claim_name, namespace=namespace)
        problem = _unusable(claim)
    except (ApiError, OSError) as error:
        problem = f"failed to fetch PVC from API server: {error}"
    if problem:
        raise NotProcessed(f"error processing PVC {namespace}/{claim_name}: {problem}")
    name = claim["spec"]["volumeName"]
    try:
        return await node.client.get(PERSISTENT_VOLUMES, name)
    except (ApiError, OSError) as error:
        problem = f"failed to fetch PV {name} from API server: {error}"
        raise NotProcessed(f"error processing PVC {namespace}/{claim_name}: {problem}") from error


def _unusable(claim: Doc) -> str:
    """Why a pod cannot begin to use a claim; "" when it can."""
    if is_terminating(claim):
        return "PVC is being deleted"
    if (claim.get("status") or {}).get("phase") != "Bound":
        return "PVC is not bound"
    return "" if claim["spec"].get("volumeName") else "PVC has empty pvc.Spec.VolumeName"


def _claim_name(pod: Doc, volume: Doc) -> str:
    """The claim that the volume uses; an ephemeral volume's is named after pod and volume."""
    if source := volume.get("persistentVolumeClaim"):
        return str(source["claimName"])
    return ephemeral_claim(pod, volume) if "ephemeral" in volume else ""

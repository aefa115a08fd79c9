"""The Node object: what a kubelet says of its node, as data.

Upstream: pkg/kubelet/nodestatus and kubelet_node_status.go.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import NAMESPACE_DNS, uuid5

from minik8s.api.nodes import HOSTNAME
from minik8s.config import VERSION
from minik8s.kubelet.runtime.protocol import Image, Runtime
from minik8s.machinery.meta import Doc, Obj, find_condition, transition_time

KUBELET_PORT = 10250
MAX_IMAGES = 50
MAX_NAMES = 5
"""Of an image (upstream: MaxNamesPerImageInNodeStatus)."""
DEFAULT_CAPACITY: Mapping[str, str] = {
    "cpu": "8",
    "memory": "32Gi",
    "ephemeral-storage": "100Gi",
    "pods": "110",
}
_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}

HEALTHY = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)

SHUTTING_DOWN = ("False", "KubeletNotReady", "node is shutting down")
PRESSURES = {
    "MemoryPressure": ("True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    "DiskPressure": ("True", "KubeletHasDiskPressure", "kubelet has disk pressure"),
}

EVENTS = {
    "MemoryPressure": "NodeHasSufficientMemory",
    "DiskPressure": "NodeHasNoDiskPressure",
    "PIDPressure": "NodeHasSufficientPID",
    "Ready": "NodeReady",
}
"""The event that tells of a condition's turn for the better."""
ANNOTATIONS = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
"""Attaching volumes is left to the controller, as every kubelet does unless told otherwise."""
TROUBLES = {
    "MemoryPressure": "NodeHasInsufficientMemory",
    "DiskPressure": "NodeHasDiskPressure",
    "Ready": "NodeNotReady",
}
"""The event that tells of a turn for the worse, of the conditions that can have one."""


def architecture() -> str:
    """This machine's architecture by its Go name."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine.lower())


def node_labels(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """The labels that a kubelet registers its node with."""
    system, arch = platform.system().lower(), architecture()
    return {
        "beta.kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": system,
        "kubernetes.io/arch": arch,
        HOSTNAME: name,
        "kubernetes.io/os": system,
        **given,
    }


def new_node(name: str, labels: Mapping[str, str], taints: Sequence[Doc]) -> Obj:
    """The Node to register, without its status."""
    spec: Obj = {"taints": list(taints)} if taints else {}
    metadata = {"name": name, "labels": dict(labels), "annotations": dict(ANNOTATIONS)}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


def node_status(
    *,
    name: str,
    address: str,
    capacity: Mapping[str, str],
    runtime: Runtime,
    conditions: Iterable[Doc] | None,
    now: str,
    pressures: Collection[str] = (),
    shutting_down: bool = False,
    boot: int = 0,
) -> Obj:
    """The whole status; `conditions` are the current ones, whose transition times are kept. `boot` counts reboots.

    `pressures` are the conditions of what it is short of.
    """
    known = list(conditions or ())
    troubles = {condition: PRESSURES[condition] for condition in pressures}
    if shutting_down:
        troubles["Ready"] = SHUTTING_DOWN
    rows = [(row[0], *troubles.get(row[0], row[1:])) for row in HEALTHY]
    return {
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "capacity": dict(capacity),
        "allocatable": dict(capacity),
        "conditions": [_condition(*row, find_condition(known, row[0]), now) for row in rows],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
        "nodeInfo": _node_info(name, runtime, boot),
        "images": image_list(runtime.images()),
        "runtimeHandlers": [{"name": "", "features": {"recursiveReadOnlyMounts": runtime.has_recursive_read_only}}],
    }


def declared(status: Doc, own: Mapping[str, str]) -> dict[str, str]:
    """The extended resources that somebody has written into a node's capacity, beside what it has of its own."""
    capacity = status.get("capacity") or {}
    return {name: amount for name, amount in capacity.items() if "/" in name and name not in own}


def offers_declared(status: Doc, own: Mapping[str, str]) -> bool:
    """Whether pods get just what has been declared: the kubelet offers it, or takes it back, with its next status."""
    offered = status.get("allocatable") or {}
    return declared(status, own) == {n: amount for n, amount in offered.items() if "/" in n and n not in own}


def lease(name: str, node: Doc, seconds: int, now: str) -> Obj:
    """The Lease that is a node's heartbeat; `now` is a MicroTime."""
    meta = node["metadata"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": meta["uid"]}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease", "ownerReferences": [owner]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": seconds, "renewTime": now},
    }


def _condition(type_: str, status: str, reason: str, message: str, before: Doc | None, now: str) -> Obj:
    return {
        "type": type_,
        "status": status,
        "lastHeartbeatTime": now,
        "lastTransitionTime": transition_time(before, status, now),
        "reason": reason,
        "message": message,
    }


def _node_info(name: str, runtime: Runtime, boot: int) -> Obj:
    """The identifiers are made from the node's name, since all nodes share one machine."""
    return {
        "machineID": uuid5(NAMESPACE_DNS, f"machine.{name}").hex,
        "systemUUID": str(uuid5(NAMESPACE_DNS, f"system.{name}")),
        "bootID": str(uuid5(NAMESPACE_DNS, f"boot{boot or ''}.{name}")),
        "kernelVersion": platform.release(),
        "osImage": f"minik8s on {platform.system()}",
        "containerRuntimeVersion": f"{runtime.name}://{runtime.version}",
        "kubeletVersion": VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": platform.system().lower(),
        "architecture": architecture(),
    }


def image_list(images: Iterable[Image]) -> list[Obj]:
    """The node's images: the largest, each under its names; the same content under several names is one."""
    by_id: dict[str, Obj] = {}
    for image in sorted(images, key=lambda image: -image.size_bytes):
        known = by_id.setdefault(image.id, {"names": [], "sizeBytes": image.size_bytes})
        for name in (image.id, image.name) if "@" in image.id else (image.name,):
            if name not in known["names"] and len(known["names"]) < MAX_NAMES:
                known["names"].append(name)
    return list(by_id.values())[:MAX_IMAGES]

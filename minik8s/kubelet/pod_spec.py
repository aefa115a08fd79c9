"""What a pod's document says that its worker wants to know: its host name, its containers, what it refers to."""

from __future__ import annotations

from minik8s.api.restart import Role, role_of
from minik8s.kubelet.container_status import ContainerRecord, record_of
from minik8s.kubelet.env import references
from minik8s.kubelet.volumes.payload import volume_references
from minik8s.machinery.meta import Doc, name_of, namespace_of, uid_of

FIELDS = ("initContainers", "containers", "ephemeralContainers")
FIELD_OF: dict[Role, str] = {
    "init": "initContainers",
    "sidecar": "initContainers",
    "app": "containers",
    "ephemeral": "ephemeralContainers",
}
_MAX_HOSTNAME = 63


def full_name(pod: Doc) -> str:
    """`name_namespace(uid)`, as messages call a pod."""
    return f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"


def hostname(pod: Doc) -> str:
    """The pod's host name: hostnameOverride, hostname, or its name cut to what a host name may be."""
    spec = pod["spec"]
    name = spec.get("hostnameOverride") or spec.get("hostname") or name_of(pod)
    return str(name)[:_MAX_HOSTNAME].rstrip("-.")


def records_of(pod: Doc) -> dict[str, ContainerRecord]:
    """A record for every container, going on from what the pod's status says of an earlier life."""
    status = pod.get("status") or {}
    known = {
        s["name"]: s
        for field in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for s in status.get(field) or ()
    }
    return {
        container["name"]: record_of(container, role_of(container, field), known.get(container["name"]))
        for field in FIELDS
        for container in pod["spec"].get(field) or ()
    }


def referenced(pod: Doc) -> tuple[set[str], set[str]]:
    """Names of the ConfigMaps and of the Secrets that volumes and environments refer to."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for volume in pod["spec"].get("volumes") or ():
        needed = volume_references(volume)
        config_maps |= needed.config_maps
        secrets |= needed.secrets
    for field in ("initContainers", "containers"):
        for container in pod["spec"].get(field) or ():
            wanted = references(container)
            config_maps |= wanted.config_maps
            secrets |= wanted.secrets
    return config_maps, secrets

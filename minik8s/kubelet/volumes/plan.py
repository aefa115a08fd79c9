"""What can be said of a pod's volumes from its document alone: which are used, as what, and how they are mounted. Pure.

Upstream: pkg/volume/util (GetPodVolumeNames, FsUserFrom), pkg/kubelet/kubelet_pods.go (makeMounts).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import attrs

from minik8s.kubelet.env import ConfigError
from minik8s.kubelet.expansion import expand, references
from minik8s.machinery.meta import Doc

PAYLOADS = ("configMap", "secret", "downwardAPI", "projected")
"""Volumes whose files the kubelet writes itself; a container can only read them."""


@attrs.frozen
class Used:
    """Names of volumes that containers mount, and of those that they want as devices."""

    mounted: frozenset[str]
    devices: frozenset[str]


def used_volumes(pod: Doc) -> Used:
    """A volume that no container uses is not set up: it holds nobody up."""
    mounted, devices = set(), set()
    for container in _containers(pod, "initContainers", "containers", "ephemeralContainers"):
        mounted |= {mount["name"] for mount in container.get("volumeMounts") or ()}
        devices |= {device["name"] for device in container.get("volumeDevices") or ()}
        for variable in container.get("env") or ():
            if ref := (variable.get("valueFrom") or {}).get("fileKeyRef"):
                mounted.add(ref.get("volumeName", ""))
    return Used(frozenset(mounted), frozenset(devices))


def fs_group(pod: Doc) -> int | None:
    """The group that the pod's volumes are to belong to."""
    group: int | None = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    return group


def changes_only_on_mismatch(pod: Doc) -> bool:
    """Whether a volume whose root is right already is left as it is."""
    return (pod["spec"].get("securityContext") or {}).get("fsGroupChangePolicy") == "OnRootMismatch"


def has_one_user(pod: Doc) -> bool:
    """Whether all containers run as the same user, whom the pod names: then secrets are for that user alone."""
    of_pod = (pod["spec"].get("securityContext") or {}).get("runAsUser")
    users = {
        (container.get("securityContext") or {}).get("runAsUser", of_pod)
        for container in _containers(pod, "initContainers", "containers")
    }
    return len(users) == 1 and None not in users


def sub_path(mount: Doc, env: Mapping[str, str]) -> str:
    """Which part of its volume a mount shows, "" for all of it. Raises ConfigError for one that cannot be."""
    path = mount.get("subPath") or ""
    if template := mount.get("subPathExpr"):
        if missing := sorted({name for name in references(template) if not env.get(name)}):
            raise ConfigError(f"missing value for {', '.join(missing)}")
        path = expand(template, env)
    if path.startswith("/"):
        raise ConfigError(f"error SubPath `{path}` must not be an absolute path")
    if ".." in path.split("/"):
        raise ConfigError(f"unable to provision SubPath `{path}`: must not contain '..'")
    return os.path.normpath(path) if path else ""


def is_recursive(mount: Doc, supported: bool) -> bool:
    """Whether what is mounted below a read-only mount is read-only, too. Raises ConfigError where that is wanted and
    the runtime cannot do it."""
    mode = mount.get("recursiveReadOnly") or "Disabled"
    if mode == "Enabled" and not supported:
        problem = f'volume "{mount["name"]}" requested recursive read-only mode, but it is not supported by the runtime'
        raise ConfigError(f"failed to resolve recursive read-only mode: {problem}")
    return mode != "Disabled" and supported


def _containers(pod: Doc, *fields: str) -> Iterator[Doc]:
    for field in fields:
        yield from pod["spec"].get(field) or ()

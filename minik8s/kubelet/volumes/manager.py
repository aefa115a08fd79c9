"""The volumes of one pod: where they lie, setting them up, keeping them current, and what a container mounts.

Upstream: pkg/kubelet/volumemanager. What a pod refers to is fetched here and given to the pure `payload`; what cannot
be mounted yet is a failure per volume, which the pod worker reports and tries again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import attrs

from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from minik8s.api.volumes import ephemeral_claim
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.downward import Surroundings
from minik8s.kubelet.env import ConfigError, EnvSources, references
from minik8s.kubelet.expansion import expand, unknown_references
from minik8s.kubelet.runtime.protocol import Mount
from minik8s.kubelet.volumes import hostpath
from minik8s.kubelet.volumes.atomic_writer import AtomicWriter
from minik8s.kubelet.volumes.payload import (
    MountError,
    VolumeSources,
    has_payload,
    payload,
    volume_references,
)
from minik8s.kubelet.volumes.tokens import PodTokens
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, namespace_of

_PLUGINS = {
    "emptyDir": "kubernetes.io~empty-dir",
    "configMap": "kubernetes.io~configmap",
    "secret": "kubernetes.io~secret",
    "downwardAPI": "kubernetes.io~downward-api",
    "projected": "kubernetes.io~projected",
}


@attrs.frozen
class MountFailure:
    """`text` goes on after `MountVolume.SetUp failed for volume "<volume>" : `."""

    volume: str
    text: str


class PodVolumes:
    """The volumes of one pod under `directory`."""

    def __init__(self, node: NodeContext, directory: Path) -> None:
        self._node = node
        self._directory = directory
        self._paths: dict[str, Path] = {}
        self._in_memory: Path | None = None
        self._writers: dict[str, AtomicWriter] = {}
        self._tokens = PodTokens(node.client, node.clock)

    @property
    def renew_at(self) -> datetime | None:
        """When a token has to be renewed, which `set_up` does."""
        return self._tokens.renew_at

    async def set_up(self, pod: Doc, surroundings: Surroundings) -> list[MountFailure]:
        """Sets up every volume, or brings it up to date; what failed is left for the next call."""
        failures = []
        for volume in pod["spec"].get("volumes") or ():
            try:
                await self._set_up(pod, volume, surroundings)
            except MountError as error:
                failures.append(MountFailure(volume["name"], str(error)))
            except (ApiError, OSError) as error:
                failures.append(MountFailure(volume["name"], str(error)))
        return failures

    def mounts(self, container: Doc, env: Mapping[str, str]) -> tuple[Mount, ...]:
        """What the container sees of the volumes. Raises ConfigError for a sub-path that cannot be."""
        if not self._node.files:
            return ()
        return tuple(self._mount(mount, env) for mount in container.get("volumeMounts") or ())

    async def env_sources(self, pod: Doc, container: Doc, surroundings: Surroundings) -> EnvSources:
        """What the container's environment is made from, as it is now."""
        needed = references(container)
        return EnvSources(
            config_maps=await self._node.config_maps(pod, needed.config_maps, fresh=True),
            secrets=await self._node.secrets(pod, needed.secrets, fresh=True),
            services=self._node.services(pod),
            files=self._env_files(container),
            surroundings=surroundings,
        )

    def tear_down(self) -> None:
        """Removes what the volumes hold; hostPaths stay."""
        if self._node.files:
            shutil.rmtree(self._directory, ignore_errors=True)
        if self._in_memory is not None:
            shutil.rmtree(self._in_memory, ignore_errors=True)

    async def _set_up(self, pod: Doc, volume: Doc, surroundings: Surroundings) -> None:
        name = volume["name"]
        if has_payload(volume):
            await self._set_up_payload(pod, volume, surroundings)
        elif "emptyDir" in volume:
            path = self._paths[name] = self._empty_directory(volume["emptyDir"] or {}) / name
            if self._node.files and not path.exists():
                path.mkdir(parents=True)
                path.chmod(0o777)  # whoever the containers run as, as upstream
        elif name not in self._paths:
            self._paths[name] = await self._host_directory(pod, volume)

    def _empty_directory(self, source: Doc) -> Path:
        directory = self._directory / _PLUGINS["emptyDir"]
        if source.get("medium") == "Memory" and self._node.files:
            self._in_memory = self._node.memory.place(directory)
            return self._in_memory or directory
        return directory

    async def _set_up_payload(self, pod: Doc, volume: Doc, surroundings: Surroundings) -> None:
        needed = volume_references(volume)
        files = self._node.files
        sources = VolumeSources(
            config_maps=await self._node.config_maps(pod, needed.config_maps, fresh=False),
            secrets=await self._node.secrets(pod, needed.secrets, fresh=False),
            tokens=await self._tokens.get(pod, needed.tokens) if files else dict.fromkeys(needed.tokens, ""),
            surroundings=surroundings,
        )
        content = payload(pod, volume, sources)
        name = volume["name"]
        kind = next(kind for kind in _PLUGINS if kind in volume)
        path = self._paths[name] = self._directory / _PLUGINS[kind] / name
        if files:
            writer = self._writers.setdefault(name, AtomicWriter(path, self._node.rng))
            writer.write(content, self._node.clock.now())

    async def _host_directory(self, pod: Doc, volume: Doc) -> Path:
        """The directory of a hostPath volume, or of a claim bound to a volume that is one."""
        if claim := _claim_name(pod, volume):
            volume = await self._bound_volume(pod, claim)
        if source := volume.get("hostPath"):
            path = Path(source["path"])
            hostpath.prepare(path, source.get("type") or "")
            return path
        if source := volume.get("local"):
            return Path(source["path"])
        raise MountError("no volume plugin matched")

    async def _bound_volume(self, pod: Doc, claim_name: str) -> Doc:
        claim = await self._node.client.find(PERSISTENT_VOLUME_CLAIMS, claim_name, namespace=namespace_of(pod))
        if claim is None:
            raise MountError(f'persistentvolumeclaim "{claim_name}" not found')
        if (claim.get("status") or {}).get("phase") != "Bound":
            raise MountError("PVC is not bound")
        volume = await self._node.client.get(PERSISTENT_VOLUMES, claim["spec"].get("volumeName", ""))
        spec: Doc = volume["spec"]
        return spec

    def _mount(self, mount: Doc, env: Mapping[str, str]) -> Mount:
        path = self._paths[mount["name"]]
        sub_path = mount.get("subPath") or ""
        if template := mount.get("subPathExpr"):
            if unknown_references(template, env):
                raise ConfigError(f'failed to expand subPath for volumeMount "{mount["name"]}"')
            sub_path = expand(template, env)
        if sub_path:
            path = _sub_path(path, sub_path, mount["name"])
        return Mount(path, mount["mountPath"], bool(mount.get("readOnly")))

    def _env_files(self, container: Doc) -> dict[tuple[str, str], str]:
        """The env files of fileKeyRef that can be read."""
        files = {}
        for variable in container.get("env") or ():
            ref = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if ref and (root := self._paths.get(ref["volumeName"])):
                path = root / ref["path"]
                if path.is_file():
                    files[ref["volumeName"], ref["path"]] = path.read_text()
        return files


def _claim_name(pod: Doc, volume: Doc) -> str:
    """The claim that the volume uses; an ephemeral volume's is named after pod and volume."""
    if source := volume.get("persistentVolumeClaim"):
        return str(source["claimName"])
    return ephemeral_claim(pod, volume) if "ephemeral" in volume else ""


def _sub_path(root: Path, sub_path: str, volume: str) -> Path:
    """A path inside a volume; a missing directory is made."""
    if Path(sub_path).is_absolute() or ".." in Path(sub_path).parts:
        raise ConfigError(f'subPath "{sub_path}" must be a relative path without ".."')
    path = root / sub_path
    try:
        if not path.exists():
            path.mkdir(mode=0o755, parents=True)
    except OSError as error:
        raise ConfigError(f'failed to create subPath directory for volumeMount "{volume}"') from error
    return path

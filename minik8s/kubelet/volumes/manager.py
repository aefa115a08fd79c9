"""The volumes of one pod: where they lie, setting them up, keeping them current, and what a container mounts.

Upstream: pkg/kubelet/volumemanager. What a pod refers to is fetched here and given to the pure `payload`; what cannot
be mounted yet is a failure per volume, which the pod worker reports and tries again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio.to_thread

from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.downward import Surroundings
from minik8s.kubelet.env import ConfigError, EnvSources, references
from minik8s.kubelet.runtime.oci.paths import Misled, resolve_file
from minik8s.kubelet.runtime.protocol import Mount
from minik8s.kubelet.runtime.strangers import read_regular
from minik8s.kubelet.volumes import subpath
from minik8s.kubelet.volumes.atomic_writer import AtomicWriter
from minik8s.kubelet.volumes.claims import HostDirectory, host_directory
from minik8s.kubelet.volumes.failures import PATIENCE_SECONDS, MountError, MountFailure, failures_of, waiting
from minik8s.kubelet.volumes.ownership import give_to_group
from minik8s.kubelet.volumes.payload import VolumeSources, has_payload, payload, volume_references
from minik8s.kubelet.volumes.plan import (
    PAYLOADS,
    changes_only_on_mismatch,
    fs_group,
    is_recursive,
    sub_path,
    used_volumes,
)
from minik8s.kubelet.volumes.tokens import PodTokens
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc

MAX_ENV_FILE = 64 << 10
"""Bytes of an env file that are read."""
_EMPTY_DIR = "kubernetes.io~empty-dir"
_PLUGINS = {
    "configMap": "kubernetes.io~configmap",
    "secret": "kubernetes.io~secret",
    "downwardAPI": "kubernetes.io~downward-api",
    "projected": "kubernetes.io~projected",
}


class PodVolumes:
    """The volumes of one pod under `directory`; `images` are the roots of image volumes, by the volume's name."""

    def __init__(self, node: NodeContext, directory: Path, images: Mapping[str, Path]) -> None:
        self._node = node
        self._directory = directory
        self._images = images
        self._places: dict[str, HostDirectory] = {}
        self._in_memory: Path | None = None
        self._writers: dict[str, AtomicWriter] = {}
        self._tokens = PodTokens(node.client, node.clock)
        self._waited_from: float | None = None

    @property
    def renew_at(self) -> datetime | None:
        """When a token has to be renewed, which `set_up` does."""
        return self._tokens.renew_at

    async def set_up(self, pod: Doc, surroundings: Surroundings) -> list[MountFailure]:
        """Sets up every volume that is used, or brings it up to date; what failed is left for the next call."""
        used = used_volumes(pod)
        errors: dict[str, Exception] = {}
        unmounted = []
        for volume in pod["spec"].get("volumes") or ():
            name = volume["name"]
            if name not in used.mounted | used.devices or "image" in volume:
                continue
            try:
                await self._set_up(pod, volume, surroundings, device=name in used.devices)
            except (MountError, ApiError, OSError) as error:
                errors[name] = error
            if name not in self._places:
                unmounted.append(name)
        return failures_of(errors, unmounted) + self._patience(unmounted)

    def _patience(self, unmounted: list[str]) -> list[MountFailure]:
        """A pod that has waited for long says so, as often as it has."""
        now = self._node.clock.monotonic()
        if not unmounted or self._waited_from is None:
            self._waited_from = now if unmounted else None
            return []
        if now - self._waited_from < PATIENCE_SECONDS:
            return []
        self._waited_from = now
        return [waiting(unmounted, (), "context deadline exceeded")]

    def mounts(self, container: Doc, env: Mapping[str, str]) -> tuple[Mount, ...]:
        """What the container sees of the volumes. Raises ConfigError for what cannot be mounted."""
        if not self._node.files:
            return ()
        mounts = container.get("volumeMounts") or ()
        return tuple(self._mount(container["name"], index, mount, env) for index, mount in enumerate(mounts))

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

    def measured(self) -> tuple[dict[str, Path], frozenset[str]]:
        """The volumes whose size is the pod's to answer for, by name, and which of them are in memory."""
        own = {name: place.path for name, place in self._places.items() if place.ours}
        memory = self._in_memory
        return own, frozenset(name for name, path in own.items() if memory is not None and memory in path.parents)

    def tear_down(self) -> None:
        """Removes what the volumes hold; hostPaths stay."""
        if self._node.files:
            shutil.rmtree(self._directory, ignore_errors=True)
            shutil.rmtree(self._pins, ignore_errors=True)
        if self._in_memory is not None:
            shutil.rmtree(self._in_memory, ignore_errors=True)

    @property
    def _pins(self) -> Path:
        return self._directory.with_name("volume-subpaths")

    async def _set_up(self, pod: Doc, volume: Doc, surroundings: Surroundings, *, device: bool) -> None:
        name = volume["name"]
        if has_payload(volume):
            await self._set_up_payload(pod, volume, surroundings)
        elif name in self._places:
            return
        elif "emptyDir" in volume:
            self._places[name] = await self._empty_directory(pod, volume)
        else:
            place = await host_directory(self._node, pod, volume, device=device)
            if place.takes_group:
                await self._give_to_group(pod, place.path, read_only=False)
            self._places[name] = place

    async def _empty_directory(self, pod: Doc, volume: Doc) -> HostDirectory:
        directory = self._directory / _EMPTY_DIR
        medium = (volume["emptyDir"] or {}).get("medium") or ""
        if medium not in ("", "Memory"):
            raise MountError(f'unknown storage medium "{medium}"')
        if medium and self._node.files:
            self._in_memory = self._node.memory.place(directory)
            directory = self._in_memory or directory
        path = directory / volume["name"]
        if self._node.files and not path.exists():
            path.mkdir(parents=True)
            path.chmod(0o777)  # whoever the containers run as, as upstream
            await self._give_to_group(pod, path, read_only=False)
        return HostDirectory(path, ours="empty")

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
        kind = next(kind for kind in PAYLOADS if kind in volume)
        path = self._directory / _PLUGINS[kind] / name
        if files:
            writer = self._writers.setdefault(name, AtomicWriter(path, self._node.rng))
            if writer.write(content, self._node.clock.now()):
                await self._give_to_group(pod, path, read_only=True)
        self._places[name] = HostDirectory(path, read_only=True, ours="payload")

    async def _give_to_group(self, pod: Doc, path: Path, *, read_only: bool) -> None:
        group = fs_group(pod)
        if group is None or not self._node.files:
            return
        give = partial(
            give_to_group,
            path,
            group,
            read_only=read_only,
            may_change_group=self._node.runtime.has_machine_users,
            only_on_mismatch=changes_only_on_mismatch(pod),
        )
        await anyio.to_thread.run_sync(give)  # a volume may be large

    def _mount(self, container: str, index: int, mount: Doc, env: Mapping[str, str]) -> Mount:
        name, path = mount["name"], sub_path(mount, env)
        recursive = is_recursive(mount, self._node.runtime.has_recursive_read_only)
        if (root := self._images.get(name)) is not None:
            return Mount(subpath.in_image(root, path), mount["mountPath"], read_only=True, is_image=True)
        if (place := self._places.get(name)) is None:
            raise ConfigError(f'cannot find volume "{name}" to mount into container "{container}"')
        source = place.path
        if path:
            source = subpath.prepare(place.path, path, volume=name, container=container)
            if place.ours == "payload":
                source = self._pinned(source, name, container, index)
        return Mount(
            source,
            mount["mountPath"],
            read_only=bool(mount.get("readOnly")) or place.read_only,
            recursive_read_only=recursive,
            propagation=mount.get("mountPropagation") or "None",
        )

    def _pinned(self, source: Path, volume: str, container: str, index: int) -> Path:
        try:
            return subpath.pin(source, self._pins / volume / container / str(index))
        except OSError:
            where = f'for volumeMount "{volume}" of container "{container}"'
            raise ConfigError(f"failed to prepare subPath {where}") from None

    def _env_files(self, container: Doc) -> dict[tuple[str, str], str]:
        """The env files of fileKeyRef that can be read."""
        files = {}
        for variable in container.get("env") or ():
            ref = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if ref and (place := self._places.get(ref["volumeName"])):
                with suppress(OSError, Misled):
                    path = resolve_file(str(place.path), ref["path"])
                    files[ref["volumeName"], ref["path"]] = read_regular(path, MAX_ENV_FILE).decode(errors="replace")
        return files

"""Getting a container's images: pull policy, the events on the way, and one back-off per pod and image.

Upstream: pkg/kubelet/images/image_manager.go; for a pod's image volumes getImageVolumes of kuberuntime_manager.go: they
are got for the first container that mounts them, which waits for them as it does for its own image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from minik8s.client.events import EventKind
from minik8s.kubelet.backoff import doubled
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.runtime.protocol import Image, ImageError
from minik8s.kubelet.runtime.references import PYTHON, parse_reference
from minik8s.machinery.meta import Doc

ContainerEvent = Callable[[EventKind, str, str], None]
"""(type, reason, message) of an event about one container."""
NO_SECRETS = "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed."


@attrs.frozen
class Wanted:
    """An image that a container needs; of a volume, `volume` is its name. `event` tells of it."""

    name: str
    policy: str
    event: ContainerEvent
    volume: str = ""


class PullFailure(Exception):
    """An image cannot be had; its events have been told."""

    def __init__(self, wanted: Wanted, error: ImageError) -> None:
        super().__init__(error.message)
        self.wanted, self.reason, self.message = wanted, error.reason, error.message


class ImagePuller:
    """Gets the images of one pod; `roots` are where those of its volumes lie, by the volume's name."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node
        self._delays: dict[str, float] = {}
        self._asked_for_secrets = False
        self.roots: dict[str, Path] = {}

    async def ensure(self, pod: Doc, container: Doc, event: ContainerEvent) -> Image:
        """The container's image, once those of the volumes that it mounts are there as well. Raises PullFailure."""
        await self._look_for_secrets(pod)

        def pod_event(type_: EventKind, reason: str, message: str) -> None:
            self._node.recorder.event(pod, type_, reason, message)

        for wanted in image_volumes(pod, container, pod_event):
            if wanted.volume not in self.roots:
                image = await self._get(wanted)
                if image.root is not None:
                    self.roots[wanted.volume] = image.root
        policy = container.get("imagePullPolicy") or "IfNotPresent"
        return await self._get(Wanted(container["image"], policy, event))

    def back_off(self, name: str) -> float:
        """Seconds until the image should be tried again; each call counts as a failure."""
        delay = self._delays[name] = doubled(self._delays.get(name, 0.0))
        return delay

    async def _look_for_secrets(self, pod: Doc) -> None:
        """There is no registry that wants them, but those that are missing are told of, once."""
        if self._asked_for_secrets:
            return
        self._asked_for_secrets = True
        names = frozenset(ref.get("name", "") for ref in pod["spec"].get("imagePullSecrets") or ())
        if names:
            found = await self._node.secrets(pod, names, fresh=True)
            if missing := sorted(name for name, secret in found.items() if secret is None):
                text = NO_SECRETS.format(", ".join(missing))
                self._node.recorder.event(pod, "Warning", "FailedToRetrieveImagePullSecret", text)

    async def _get(self, wanted: Wanted) -> Image:
        try:
            image = await self._pull(wanted)
        except ImageError as error:
            _tell(error, wanted)
            raise PullFailure(wanted, error) from error
        self._delays.pop(wanted.name, None)
        return image

    async def _pull(self, wanted: Wanted) -> Image:
        name, event, runtime = wanted.name, wanted.event, self._node.runtime
        if not name.startswith(PYTHON):
            parse_reference(name)
        present = runtime.is_present(name)
        if wanted.policy == "Never" and not present:
            raise ImageError("ErrImageNeverPull", f'Container image "{name}" is not present with pull policy of Never')
        if present and wanted.policy != "Always":
            image = await runtime.pull(name, volume=bool(wanted.volume))
            text = f'Container image "{name}" already present on machine and can be accessed by the pod'
            event("Normal", "Pulled", text)
            return image
        event("Normal", "Pulling", f'Pulling image "{name}"')
        began = self._node.clock.monotonic()
        image = await runtime.pull(name, volume=bool(wanted.volume))
        took = go_duration(self._node.clock.monotonic() - began)
        size = f"Image size: {image.size_bytes} bytes."
        event("Normal", "Pulled", f'Successfully pulled image "{name}" in {took} ({took} including waiting). {size}')
        return image


def image_volumes(pod: Doc, container: Doc, event: ContainerEvent) -> Iterator[Wanted]:
    """The images of the volumes that a container mounts."""
    mounted = {mount["name"] for mount in container.get("volumeMounts") or ()}
    for volume in pod["spec"].get("volumes") or ():
        if volume["name"] in mounted and (source := volume.get("image")) is not None:
            policy = source.get("pullPolicy") or "IfNotPresent"
            yield Wanted(source.get("reference") or "", policy, event, volume["name"])


def go_duration(seconds: float) -> str:
    """Seconds as Go prints a time.Duration cut to milliseconds: `0s`, `12ms`, `1.2s`, `1m2.003s`."""
    millis = int(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms" if millis else "0s"
    minutes, millis = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    rest = f"{millis / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + rest


def _tell(error: ImageError, wanted: Wanted) -> None:
    event = wanted.event
    match error.reason:
        case "InvalidImageName":
            event("Warning", "InspectFailed", error.message)
        case "ErrImageNeverPull":
            event("Warning", "ErrImageNeverPull", error.message)
        case _:
            event("Warning", "Failed", f'Failed to pull image "{wanted.name}": {error.message}')
    event("Warning", "Failed", f"Error: {error.reason}")

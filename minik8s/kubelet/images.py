"""Getting a container's image: pull policy, the events on the way, and one back-off per pod and image.

Upstream: pkg/kubelet/images/image_manager.go.
"""

from __future__ import annotations

from collections.abc import Callable

from minik8s.client.events import EventKind
from minik8s.clock import Clock
from minik8s.kubelet.backoff import doubled
from minik8s.kubelet.runtime.protocol import Image, ImageError, Runtime
from minik8s.machinery.meta import Doc

ContainerEvent = Callable[[EventKind, str, str], None]
"""(type, reason, message) of an event about one container."""


class ImagePuller:
    """Gets the images of one pod."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock
        self._delays: dict[str, float] = {}

    async def ensure(self, container: Doc, event: ContainerEvent) -> Image:
        """The image, pulled if policy wants it. Raises ImageError after the events that tell of it."""
        name, policy = container["image"], container.get("imagePullPolicy") or "IfNotPresent"
        try:
            image = await self._get(name, policy, event)
        except ImageError as error:
            _tell(error, name, event)
            raise
        self._delays.pop(name, None)
        return image

    def back_off(self, name: str) -> float:
        """Seconds until the image should be tried again; each call counts as a failure."""
        delay = self._delays[name] = doubled(self._delays.get(name, 0.0))
        return delay

    async def _get(self, name: str, policy: str, event: ContainerEvent) -> Image:
        present = self._runtime.is_present(name)
        if policy == "Never" and not present:
            raise ImageError("ErrImageNeverPull", f'Container image "{name}" is not present with pull policy of Never')
        if present and policy != "Always":
            image = await self._runtime.pull(name)
            event(
                "Normal",
                "Pulled",
                f'Container image "{name}" already present on machine and can be accessed by the pod',
            )
            return image
        event("Normal", "Pulling", f'Pulling image "{name}"')
        began = self._clock.monotonic()
        image = await self._runtime.pull(name)
        took = go_duration(self._clock.monotonic() - began)
        size = f"Image size: {image.size_bytes} bytes."
        event(
            "Normal",
            "Pulled",
            f'Successfully pulled image "{name}" in {took} ({took} including waiting). {size}',
        )
        return image


def go_duration(seconds: float) -> str:
    """Seconds as Go prints a time.Duration cut to milliseconds: `0s`, `12ms`, `1.2s`, `1m2.003s`."""
    millis = int(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms" if millis else "0s"
    minutes, millis = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    rest = f"{millis / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + rest


def _tell(error: ImageError, name: str, event: ContainerEvent) -> None:
    match error.reason:
        case "InvalidImageName":
            event("Warning", "InspectFailed", error.message)
        case "ErrImageNeverPull":
            event("Warning", "ErrImageNeverPull", error.message)
        case _:
            event("Warning", "Failed", f'Failed to pull image "{name}": {error.message}')
    event("Warning", "Failed", f"Error: {error.reason}")

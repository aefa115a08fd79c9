"""What is said of volumes that cannot be mounted, in the words of upstream's volume manager.

Upstream: pkg/volume/util/operationexecutor (a step of mounting fails), pkg/kubelet/volumemanager (a volume cannot even
be found out about, or it takes too long).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

PATIENCE_SECONDS = 123.0
"""After so long a pod says that it still waits for volumes (podAttachAndMountTimeout)."""


class MountError(Exception):
    """Why a volume cannot be set up (yet). `volume` is the name to tell, "" for the pod's own."""

    step = "MountVolume.SetUp failed"
    reason = "FailedMount"

    def __init__(self, text: str, volume: str = "") -> None:
        super().__init__(text)
        self.volume = volume


class NotInitialized(MountError):
    """What a volume is made of is not there."""

    step = "MountVolume.NewMounter initialization failed"


class WrongNode(MountError):
    """The volume cannot be used on this node."""

    step = "MountVolume.NodeAffinity check failed"


class NoDevice(MountError):
    """A block volume."""

    step = "MapVolume.SetUpDevice failed"
    reason = "FailedMapVolume"


class NotProcessed(MountError):
    """It is not known yet what the volume is."""


@attrs.frozen
class MountFailure:
    """An event about a pod's volumes."""

    message: str
    reason: str = "FailedMount"


def failures_of(errors: Mapping[str, Exception], unmounted: Iterable[str]) -> list[MountFailure]:
    """The events of volumes' errors, by the volumes' names in the pod; `unmounted` are those not mounted so far."""
    found = []
    for name, error in errors.items():
        if isinstance(error, MountError) and not isinstance(error, NotProcessed):
            message = f'{error.step} for volume "{error.volume or name}" : {error}'
            found.append(MountFailure(message, error.reason))
        elif not isinstance(error, MountError):
            found.append(MountFailure(f'{MountError.step} for volume "{name}" : {_in_words(error)}'))
    if lost := {name: str(error) for name, error in errors.items() if isinstance(error, NotProcessed)}:
        found.append(waiting(unmounted, lost, "; ".join(lost.values())))
    return found


def waiting(unmounted: Iterable[str], unknown: Iterable[str], why: str) -> MountFailure:
    """The event of a pod whose volumes are not all there."""
    return MountFailure(
        f"Unable to attach or mount volumes: unmounted volumes=[{' '.join(unmounted)}], unattached volumes=[], "
        f"failed to process volumes=[{' '.join(unknown)}]: {why}"
    )


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower()
    return str(error)

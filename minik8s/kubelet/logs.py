"""Which log a request for a container's output means, or why there is none.

The choice is upstream's validateContainerLogStatus; the container ids of the pod's status name the runs whose logs are
kept: the current or last one and the one before.
"""

from __future__ import annotations

from pathlib import Path

from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc, name_of


def chosen_container_id(pod: Doc, container: str, *, previous: bool) -> str:
    """The id of the run whose log is meant. Raises BadRequest with the text that a user sees."""
    status = _status(pod, container)
    where = f'container "{container}" in pod "{name_of(pod)}"'
    if status is None:
        raise BadRequest(f"{where} is not available")
    state = status.get("state") or {}
    last = ((status.get("lastState") or {}).get("terminated") or {}).get("containerID", "")
    if previous:
        if not last:
            raise BadRequest(f'previous terminated container "{container}" in pod "{name_of(pod)}" not found')
        return str(last)
    if "running" in state:
        return str(status.get("containerID", ""))
    if "terminated" in state:
        chosen = state["terminated"].get("containerID") or last
        if not chosen:
            raise BadRequest(f"{where} is terminated")
        return str(chosen)
    if last:
        return str(last)
    raise BadRequest(f"{where} is waiting to start: {_waiting((state.get('waiting') or {}).get('reason', ''))}")


def remove_logs(path: Path) -> None:
    """Removes a run's log, with what has been put aside of it."""
    path.unlink(missing_ok=True)
    for aside in path.parent.glob(f"{path.name}.*"):
        aside.unlink(missing_ok=True)


def _waiting(reason: str) -> str:
    if reason == "ErrImagePull":
        return "image can't be pulled"
    return "trying and failing to pull image" if reason == "ImagePullBackOff" else reason or "no logs yet"


def _status(pod: Doc, container: str) -> Doc | None:
    status = pod.get("status") or {}
    for field in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for found in status.get(field) or ():
            if found["name"] == container:
                return found
    return None

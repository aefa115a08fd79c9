"""What is known of one container, and how its status says it.

`ContainerRecord` is the kubelet's memory of a container over all its runs; `container_status` shows it as the API's
ContainerStatus. A container that will be restarted waits, one that will not is terminated (upstream:
convertToAPIContainerStatuses).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import attrs

from minik8s.api.restart import Role
from minik8s.kubelet.runtime.protocol import Exit
from minik8s.machinery.meta import Doc, Obj, rfc3339

UNKNOWN_EXIT_CODE = 137
UNKNOWN_REASON = "ContainerStatusUnknown"
LOST = "The container could not be located when the pod was terminated"
LOST_AT_START = "The container could not be located when the pod was started"

RESTARTING_ALL = "RestartingAllContainers"
REMOVED = "The container is removed because RestartAllContainers in place"

State = Literal["waiting", "running", "terminated"]


@attrs.define
class ContainerRecord:
    """A container's history as far as its status shows it.

    `exits` holds the last two terminated states, the newest last. `waiting_reason` "" stands for the default of the
    pod's stage. `restart_count` counts the starts after the first. `resources` are those with which it runs.
    `can_be_recursive` tells that its runtime can make mounts read-only recursively.
    """

    name: str
    role: Role
    image: str = ""
    image_id: str = ""
    container_id: str = ""
    state: State = "waiting"
    waiting_reason: str = ""
    waiting_message: str = ""
    started_at: str = ""
    exits: tuple[Doc, ...] = ()
    restart_count: int = 0
    started: bool = False
    ready: bool = False
    resources: Doc | None = None
    can_be_recursive: bool = False

    def wait(self, reason: str, message: str = "") -> None:
        """It is not running, and `reason` says why."""
        self.state, self.waiting_reason, self.waiting_message = "waiting", reason, message
        self.started = self.ready = False

    def run(self, container_id: str, started_at: datetime) -> None:
        """It runs under this id (with the runtime's scheme)."""
        self.state, self.container_id, self.started_at = "running", container_id, rfc3339(started_at)
        self.started = self.ready = False

    def end(self, terminated: Doc) -> None:
        """It has ended; `terminated` is the API's ContainerStateTerminated."""
        self.state, self.exits = "terminated", (*self.exits, terminated)[-2:]
        self.started = False
        self.ready = self.role == "init" and terminated["exitCode"] == 0

    def start_over(self) -> None:
        """All containers of the pod are started anew: what ran has been removed, and nobody can ask how it ended."""
        if self.role == "ephemeral" or not self.exits:
            return
        if self.role != "init":  # whose success is still known, for the pod stays initialized
            removed = {"exitCode": UNKNOWN_EXIT_CODE, "reason": RESTARTING_ALL, "message": REMOVED}
            self.exits = (*self.exits, removed)[-2:]
        self.wait(RESTARTING_ALL, REMOVED)

    def settle(self) -> None:
        """The pod is over: a container that waited for its restart is terminated for good."""
        if self.state == "waiting" and self.exits:
            self.state = "terminated"

    @property
    def exit_code(self) -> int | None:
        """How the last run ended, None before any did."""
        return self.exits[-1]["exitCode"] if self.exits else None


def terminated_state(exit: Exit, container_id: str, message: str) -> Obj:
    """The ContainerStateTerminated of an exit."""
    reason = exit.reason or ("Completed" if exit.exit_code == 0 else "Error")
    state: Obj = {"exitCode": exit.exit_code, "reason": reason}
    if exit.signal:
        state["signal"] = exit.signal
    if message:
        state["message"] = message
    state["startedAt"] = rfc3339(exit.started_at)
    state["finishedAt"] = rfc3339(exit.finished_at)
    if container_id:
        state["containerID"] = container_id
    return state


def unknown_state(container_id: str = "", message: str = LOST) -> Obj:
    """The state of a container that is gone without anybody having seen it end."""
    state: Obj = {
        "exitCode": UNKNOWN_EXIT_CODE,
        "reason": UNKNOWN_REASON,
        "message": message,
    }
    if container_id:
        state["containerID"] = container_id
    return state


def container_status(container: Doc, record: ContainerRecord, default_reason: str) -> Obj:
    """The ContainerStatus; `default_reason` is why a container waits that has not been tried yet."""
    last = record.exits[:-1] if record.state == "terminated" else record.exits
    status: Obj = {
        "name": record.name,
        "state": _state(record, default_reason),
        "lastState": {"terminated": last[-1]} if last else {},
        "ready": record.ready,
        "restartCount": record.restart_count,
        "image": record.image or container["image"],
        "imageID": record.image_id,
    }
    if record.role != "ephemeral":  # nobody probes those: never ready, and not said to have started
        status["started"] = record.started
    if record.container_id:
        status["containerID"] = record.container_id
        resources = container.get("resources") or {}
        status["resources"] = resources if record.state != "running" or record.resources is None else record.resources
        if requests := resources.get("requests"):
            status["allocatedResources"] = requests
    if mounts := container.get("volumeMounts"):
        status["volumeMounts"] = [_mount(mount, record.can_be_recursive) for mount in mounts]
    return status


def record_of(container: Doc, role: Role, status: Doc | None) -> ContainerRecord:
    """The record of a container whose earlier life another kubelet process led; what ran then is lost."""
    record = ContainerRecord(container["name"], role)
    if status is None:
        return record
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated")
    ended = state.get("terminated")
    if "running" in state:
        ended = unknown_state(status.get("containerID", ""), LOST_AT_START)
    record.exits = tuple(exit for exit in (last, ended) if exit)
    record.restart_count = status.get("restartCount", 0)
    record.image, record.image_id = status.get("image", ""), status.get("imageID", "")
    record.container_id = status.get("containerID", "")
    if ended:
        record.state = "terminated"
        record.ready = role == "init" and ended["exitCode"] == 0
    return record


def _state(record: ContainerRecord, default_reason: str) -> Obj:
    if record.state == "running":
        return {"running": {"startedAt": record.started_at}}
    if record.state == "terminated":
        return {"terminated": record.exits[-1]}
    waiting = {"reason": record.waiting_reason or default_reason}
    if record.waiting_message:
        waiting["message"] = record.waiting_message
    return {"waiting": waiting}


def _mount(mount: Doc, can_be_recursive: bool) -> Obj:
    shown: Obj = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        is_recursive = can_be_recursive and mount.get("recursiveReadOnly") in ("Enabled", "IfPossible")
        shown |= {"readOnly": True, "recursiveReadOnly": "Enabled" if is_recursive else "Disabled"}
    return shown

"""A pod's phase, from the statuses of its containers.

A port of upstream's getPhase (pkg/kubelet/kubelet_pods.go): init containers decide first, then waiting containers, then
running ones; when everything has stopped, what may be restarted keeps the pod Running.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from minik8s.api.pods import is_sidecar
from minik8s.api.restart import Verdict, after_exit
from minik8s.machinery.meta import Doc

_STATUSES = ("initContainerStatuses", "containerStatuses")
_ON_THE_WAY = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Why a container waits that nothing holds up."""


def pod_phase(spec: Doc, statuses: Mapping[str, Doc], *, ended: bool, initialized: bool) -> str:
    """The phase.

    `statuses` are the ContainerStatuses by container name. `ended` tells that no container will be started again,
    whatever the policies say; `initialized` that the pod has been initialised once.
    """
    policy = spec.get("restartPolicy") or "Always"
    inits = spec.get("initContainers") or ()
    init_states = [_init_state(policy, c, statuses.get(c["name"])) for c in inits if not is_sidecar(c)]
    if "failed for good" in init_states:
        return "Failed"
    sidecars = Counter(_sidecar_state(statuses.get(c["name"])) for c in inits if is_sidecar(c))
    apps = Counter(_app_state(policy, c, statuses.get(c["name"])) for c in spec["containers"])
    not_started = sidecars["waiting"] + sidecars["starting"] + sidecars["unknown"]
    if "pending" in init_states or (not_started and not initialized):
        return "Pending"
    if sidecars["waiting"] or apps["waiting"]:
        return "Pending"
    if sidecars["unknown"] or apps["unknown"]:
        return "Pending"
    if sidecars["running"] or sidecars["starting"] or apps["running"]:
        return "Running"
    return _stopped_phase(policy, apps, ended)


def has_initialized(spec: Doc, statuses: Mapping[str, Doc]) -> bool:
    """Whether initialisation has been completed once: an app container has run, or every init container is done."""
    if any(_has_started(statuses.get(c["name"])) for c in spec["containers"]):
        return True
    return all(init_done(c, statuses.get(c["name"])) for c in spec.get("initContainers") or ())


def init_done(container: Doc, status: Doc | None) -> bool:
    """A regular init container is done when it has completed, a sidecar when it has started."""
    if status is None:
        return False
    return bool(status.get("started")) if is_sidecar(container) else bool(status.get("ready"))


def by_name(*lists: Iterable[Doc]) -> dict[str, Doc]:
    """Container statuses by container name."""
    return {status["name"]: status for statuses in lists for status in statuses}


def _stopped_phase(policy: str, apps: Counter[str], ended: bool) -> str:
    stopped = apps["succeeded"] + apps["failed"] + apps["restarting"]
    if not stopped:
        return "Pending"
    if not ended and (apps["restarting"] or policy == "Always"):
        return "Running"
    if ended and apps["restarting"]:
        return "Failed"
    return "Failed" if apps["failed"] else "Succeeded"


def _init_state(policy: str, container: Doc, status: Doc | None) -> str:
    state = (status or {}).get("state") or {}
    last = ((status or {}).get("lastState") or {}).get("terminated")
    exit_ = state.get("terminated") or (last if "waiting" in state else None)
    if exit_ is None:
        return "pending"
    if exit_["exitCode"] == 0:
        return "done"
    again = after_exit(policy, container, "init", exit_["exitCode"]) is not Verdict.STAY
    return "failed" if again else "failed for good"


def _sidecar_state(status: Doc | None) -> str:
    state = (status or {}).get("state") or {}
    if "running" in state:
        return "running" if (status or {}).get("started") else "starting"
    if "terminated" in state:
        return "terminated"
    if "waiting" in state:
        return "restarting" if ((status or {}).get("lastState") or {}).get("terminated") else "waiting"
    return "unknown"


def _app_state(policy: str, container: Doc, status: Doc | None) -> str:
    state = (status or {}).get("state") or {}
    last = ((status or {}).get("lastState") or {}).get("terminated")
    if "running" in state:
        return "running"
    if "waiting" in state:
        return "restarting" if last else "waiting"
    exit_ = state.get("terminated")
    if exit_ is None:
        return "unknown"
    if exit_["exitCode"] == 0:
        return "succeeded"
    again = after_exit(policy, container, "app", exit_["exitCode"]) is not Verdict.STAY
    return "restarting" if again else "failed"


def _has_started(status: Doc | None) -> bool:
    if status is None:
        return False
    state = status.get("state") or {}
    return "running" in state or "terminated" in state or "terminated" in (status.get("lastState") or {})


def is_starting(status: Doc) -> bool:
    """Whether a pod is on its way to run and nothing holds it up: no back-off, no image that cannot be had."""
    if status.get("phase") != "Pending":
        return False
    states = [c.get("state") or {} for key in _STATUSES for c in status.get(key) or ()]
    reasons = {(state.get("waiting") or {}).get("reason", "") for state in states}
    return reasons <= _ON_THE_WAY and not any("running" in state for state in states)

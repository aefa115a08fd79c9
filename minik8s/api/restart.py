"""What follows a container's exit: nothing, a restart, or a restart of the whole pod.

Pod-level restartPolicy, the container-level policy and its rules (KEP-5307), and the special cases of init
containers and sidecars, as in upstream's ContainerShouldRestart and computeInitContainerActions.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from minik8s.api.pods import is_sidecar
from minik8s.machinery.meta import Doc

Role = Literal["init", "sidecar", "app", "ephemeral"]
"""What a container is to its pod: a sidecar is an init container that is always restarted."""

RESTART_ALL = "RestartAllContainers"


class Verdict(Enum):
    """What to do about a container that has ended."""

    STAY = "stay"
    RESTART = "restart"
    RESTART_ALL = "restart all"


def role_of(container: Doc, field: str) -> Role:
    """The role of a container that stands in `field` of a pod's spec."""
    if field == "initContainers":
        return "sidecar" if is_sidecar(container) else "init"
    return "app" if field == "containers" else "ephemeral"


def after_exit(pod_policy: str, container: Doc, role: Role, exit_code: int) -> Verdict:
    """The verdict for an exit; rules come first, then the container's policy, then the pod's."""
    if role == "sidecar":
        return Verdict.RESTART
    if role == "ephemeral" or (role == "init" and exit_code == 0):
        return Verdict.STAY
    for rule in container.get("restartPolicyRules") or ():
        if _matches(rule.get("exitCodes") or {}, exit_code):
            return Verdict.RESTART_ALL if rule.get("action") == RESTART_ALL else Verdict.RESTART
    policy = container.get("restartPolicy") or pod_policy
    again = policy == "Always" or (policy == "OnFailure" and exit_code != 0)
    return Verdict.RESTART if again else Verdict.STAY


def may_start_over(spec: Doc) -> bool:
    """Whether some container's exit can have the whole pod started over."""
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    rules = (rule for container in containers for rule in container.get("restartPolicyRules") or ())
    return any(rule.get("action") == RESTART_ALL for rule in rules)


def _matches(codes: Doc, exit_code: int) -> bool:
    listed = exit_code in (codes.get("values") or ())
    return listed if codes.get("operator") == "In" else not listed

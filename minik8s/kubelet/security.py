"""What a pod's securityContext asks of a container's process; the container's own fields go before the pod's.

Upstream: pkg/kubelet/kuberuntime/security_context.go. What a runtime makes of it is its affair: without namespaces a
process has the rights of whoever started the cluster.
"""

from __future__ import annotations

from minik8s.kubelet.env import ConfigError
from minik8s.kubelet.pod_spec import full_name
from minik8s.machinery.meta import Doc


def run_as(pod: Doc, container: Doc) -> tuple[int, int] | None:
    """The uid and gid to run with, None when neither is asked for; what is not said is 0, an image's default."""
    context = _context(pod, container)
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    return None if user is None and group is None else (user or 0, group or 0)


def read_only_root(container: Doc) -> bool:
    return bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem"))


def check_user(pod: Doc, container: Doc) -> None:
    """Raises ConfigError for a container that would run as root although it must not (verifyRunAsNonRoot)."""
    context = _context(pod, container)
    if context.get("runAsNonRoot") and context.get("runAsUser") == 0:
        where = f'pod: "{full_name(pod)}", container: {container["name"]}'
        raise ConfigError(f"container's runAsUser breaks non-root policy ({where})")


def _context(pod: Doc, container: Doc) -> Doc:
    return {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}

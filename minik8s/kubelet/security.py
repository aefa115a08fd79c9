"""What a pod's securityContext asks of a container's process; the container's own fields go before the pod's.

Upstream: pkg/kubelet/kuberuntime/security_context.go. What a runtime makes of it is its affair: without namespaces a
process has the rights of whoever started the cluster.
"""

from __future__ import annotations

from minik8s.kubelet.env import ConfigError
from minik8s.kubelet.pod_spec import full_name
from minik8s.machinery.meta import Doc


def run_as(pod: Doc, container: Doc) -> tuple[int | None, int | None]:
    """The uid and gid to run with, None for what is not asked for: then it is the image's affair."""
    context = _context(pod, container)
    return context.get("runAsUser"), context.get("runAsGroup")


def read_only_root(container: Doc) -> bool:
    return bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem"))


def check_user(pod: Doc, container: Doc, of_image: str | None) -> None:
    """Raises ConfigError for a container that would run as root although it must not (verifyRunAsNonRoot).

    `of_image` is the user that the image names, "" for root; None for an image that has no say in it.
    """
    context = _context(pod, container)
    if not context.get("runAsNonRoot"):
        return
    where = f'(pod: "{full_name(pod)}", container: {container["name"]})'
    if (user := context.get("runAsUser")) is not None:
        if user == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
        return
    name = (of_image or "").partition(":")[0]
    if name and not name.isdecimal():
        problem = f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
        raise ConfigError(f"{problem} {where}")
    if of_image is not None and not name.strip("0"):
        raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")


def _context(pod: Doc, container: Doc) -> Doc:
    return {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}

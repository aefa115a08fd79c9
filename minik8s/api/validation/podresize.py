"""What pods/resize and pods/ephemeralcontainers may change.

Upstream: `ValidatePodResize` and `ValidatePodEphemeralContainersUpdate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.pods import is_sidecar, qos_class
from minik8s.api.staticpods import is_mirror
from minik8s.api.validation.common import Causes
from minik8s.api.validation.podspec import validate_pod
from minik8s.machinery.field import forbidden, invalid
from minik8s.machinery.meta import Doc

Part = Mapping[str, Any]

RESIZABLE = ("cpu", "memory")


def validate_resize(pod: Doc, old: Doc) -> Causes:
    """Other amounts of cpu and memory; `pod` differs from `old` in resources and resize policies only."""
    refusal = _not_resizable(old)
    if refusal:
        yield forbidden("[]", refusal)
        return
    yield from validate_pod(pod)
    if (old.get("status") or {}).get("qosClass", "") != qos_class(pod):
        detail = "Pod QOS Class may not change as a result of resizing"
        yield invalid("spec", (pod.get("status") or {}).get("qosClass", ""), detail)
    if not _node_can_resize(old):
        yield forbidden("spec", "Pod running on node without support for resize")
    new, before = pod["spec"], old["spec"]
    yield from _init_containers(new, before)
    for index, (container, was) in enumerate(zip(new["containers"], before["containers"], strict=True)):
        yield from _kept(container, was, f"spec.containers[{index}].resources")
        if _fixed(container.get("resources")) != _fixed(was.get("resources")):
            yield forbidden("spec", "only cpu and memory resources are mutable")
    yield from _kept(new, before, "spec.resources")
    if _fixed(new.get("resources")) != _fixed(before.get("resources")):
        yield forbidden("spec", "only cpu and memory resources are mutable")


def _init_containers(new: Part, before: Part) -> Causes:
    pairs = zip(new.get("initContainers") or (), before.get("initContainers") or (), strict=True)
    for index, (container, was) in enumerate(pairs):
        if not is_sidecar(was):
            if container != was:
                yield forbidden("spec", "resources for non-sidecar init containers are immutable")
            continue
        yield from _kept(container, was, f"spec.initContainers[{index}].resources")
        if _fixed(container.get("resources")) != _fixed(was.get("resources")):
            yield forbidden("spec", "only cpu and memory resources for sidecar containers are mutable")


def _not_resizable(pod: Doc) -> str:
    if is_mirror(pod):
        return "static pods cannot be resized"
    if (pod["spec"].get("os") or {}).get("name") == "windows":
        return "windows pods cannot be resized"
    return ""


def _node_can_resize(pod: Doc) -> bool:
    """A node that can says what its running containers have."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if "running" in (status.get("state") or {}):
            return status.get("resources") is not None
    return True


def _kept(holder: Part, before: Part, path: str) -> Causes:
    for part, noun in (("requests", "requests"), ("limits", "limits")):
        now = ((holder.get("resources") or {}).get(part) or {}).keys()
        if ((before.get("resources") or {}).get(part) or {}).keys() - now:
            yield forbidden(f"{path}.{part}", f"resource {noun} cannot be removed")


def _fixed(resources: Part | None) -> list[Any]:
    """What of requests and limits cannot be resized."""
    listed: list[Any] = [(resources or {}).get("claims")]
    for part in ("requests", "limits"):
        amounts = (resources or {}).get(part) or {}
        listed.append({name: amount for name, amount in amounts.items() if name not in RESIZABLE})
    return listed


def validate_ephemeral_change(pod: Doc, old: Doc) -> Causes:
    """Containers for debugging: they are added, never changed or removed."""
    if is_mirror(old):
        yield forbidden("[]", "static pods do not support ephemeral containers")
        return
    yield from validate_pod(pod)
    now = {container.get("name", ""): container for container in pod["spec"].get("ephemeralContainers") or ()}
    for was in old["spec"].get("ephemeralContainers") or ():
        name = was.get("name", "")
        if name not in now:
            yield forbidden("spec.ephemeralContainers", f'existing ephemeral containers "{name}" may not be removed\n')
        elif now[name] != was:
            yield forbidden("spec.ephemeralContainers", f'existing ephemeral containers "{name}" may not be changed\n')

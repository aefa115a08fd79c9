"""The parts of a Pod that have an endpoint of their own: its resources, and its ephemeral containers.

Upstream: podResizeStrategy and podEphemeralContainersStrategy in pkg/registry/core/pod/strategy.go.
"""

from __future__ import annotations

from typing import Any

from minik8s.api.strategy import PartialWrite
from minik8s.api.validation.podresize import validate_ephemeral_change, validate_resize
from minik8s.machinery.meta import Doc, Obj

_RESIZED = ("resources", "resizePolicy")


def _keep_but_resources(obj: Obj, old: Doc) -> None:
    """Of the new spec only resources and resize policies, by container name, and the pod's own resources."""
    wanted = obj["spec"]
    spec: Obj = dict(old["spec"])
    for field in ("containers", "initContainers"):
        given = {container.get("name", ""): container for container in wanted.get(field) or ()}
        if spec.get(field):
            spec[field] = [_resized(container, given.get(container["name"])) for container in spec[field]]
    _take(spec, wanted, "resources")
    obj["spec"], obj["status"] = spec, old["status"]


def _resized(container: Doc, given: Doc | None) -> Doc:
    if given is None:
        return container
    changed: dict[str, Any] = dict(container)
    for field in _RESIZED:
        _take(changed, given, field)
    return changed


def _take(target: Obj, given: Doc, field: str) -> None:
    if field in given:
        target[field] = given[field]
    else:
        target.pop(field, None)


def _keep_but_ephemeral(obj: Obj, old: Doc) -> None:
    spec: Obj = dict(old["spec"])
    _take(spec, obj["spec"], "ephemeralContainers")
    obj["spec"], obj["status"] = spec, old["status"]


PARTS = {
    "resize": PartialWrite(_keep_but_resources, lambda pod, old: list(validate_resize(pod, old))),
    "ephemeralcontainers": PartialWrite(
        _keep_but_ephemeral, lambda pod, old: list(validate_ephemeral_change(pod, old))
    ),
}

"""LimitRanger: a namespace's defaults and bounds for what pods and claims ask for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar

from minik8s.api.pods import ResourceAmounts, container_amounts, pod_limits, pod_requests
from minik8s.api.resources import LIMIT_RANGES
from minik8s.api.validation.claims import storage_request
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.meta import Doc, Obj
from minik8s.machinery.quantity import Quantity, parse_quantity

ANNOTATION = "kubernetes.io/limit-ranger"
_CLAIM = "PersistentVolumeClaim"


class LimitRanger(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/limitranger."""

    name: ClassVar[str] = "LimitRanger"
    resources: ClassVar[Collection[str]] = ("pods", "persistentvolumeclaims")
    stands_on: ClassVar[Collection[str]] = (LIMIT_RANGES.group_resource,)

    def admit(self, attributes: Attributes, world: World) -> None:
        pod = attributes.object
        if pod is None or not attributes.concerns("CREATE", "pods"):
            return
        for limit_range in world.list(LIMIT_RANGES, attributes.namespace):
            _set_defaults(pod, limit_range)

    def validate(self, attributes: Attributes, world: World) -> None:
        obj = attributes.object
        claim_written = attributes.concerns("UPDATE", "persistentvolumeclaims")
        is_resize = attributes.operation == "UPDATE" and attributes.request.subresource == "resize"
        created = attributes.concerns("CREATE", "pods", "persistentvolumeclaims")
        if obj is None or not (claim_written or is_resize or created):
            return
        check = _pod_problems if attributes.request.resource.plural == "pods" else _claim_problems
        for limit_range in world.list(LIMIT_RANGES, attributes.namespace):
            problems = [text for item in limit_range["spec"].get("limits") or () for text in check(obj, item)]
            if problems:
                raise attributes.forbidden(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")


def _set_defaults(pod: Obj, limit_range: Doc) -> None:
    """Fills in requests and limits, and leaves a note of it."""
    defaults: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    for item in limit_range["spec"].get("limits") or ():
        if item.get("type") == "Container":
            defaults["requests"].update(item.get("defaultRequest") or {})
            defaults["limits"].update(item.get("default") or {})
    notes = []
    for list_name, kind in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(list_name) or ():
            for part, noun in (("requests", "request"), ("limits", "limit")):
                if added := _merge(container, part, defaults[part]):
                    notes.append(f"{', '.join(added)} {noun} for {kind} {container['name']}")
    if notes:
        metadata = pod["metadata"]
        note = "LimitRanger plugin set: " + "; ".join(notes)
        metadata["annotations"] = {**(metadata.get("annotations") or {}), ANNOTATION: note}


def _merge(container: Obj, part: str, defaults: Mapping[str, str]) -> list[str]:
    present = (container.get("resources") or {}).get(part) or {}
    added = sorted(set(defaults) - set(present))
    if added:
        amounts = {**present, **{name: defaults[name] for name in added}}
        container["resources"] = {**(container.get("resources") or {}), part: amounts}
    return added


def _pod_problems(pod: Doc, item: Mapping[str, Any]) -> Iterator[str]:
    kind = item.get("type")
    if kind == "Container":
        for list_name in ("containers", "initContainers"):
            for container in pod["spec"].get(list_name) or ():
                requests, limits = container_amounts(container, "requests"), container_amounts(container, "limits")
                yield from _outside(item, kind, requests, limits)
    elif kind == "Pod":
        yield from _outside(item, kind, pod_requests(pod), pod_limits(pod))


def _claim_problems(claim: Doc, item: Mapping[str, Any]) -> Iterator[str]:
    if item.get("type") != _CLAIM:
        return
    asked = parse_quantity(storage_request(claim["spec"]) or "0")
    for part, word in (("min", "minimum"), ("max", "maximum")):
        bound = (item.get(part) or {}).get("storage")
        if bound is None:
            continue
        edge = parse_quantity(bound)
        if asked < edge if part == "min" else asked > edge:
            yield f"{word} storage usage per {_CLAIM} is {edge}, but request is {asked}"


def _outside(item: Mapping[str, Any], kind: str, requests: ResourceAmounts, limits: ResourceAmounts) -> Iterator[str]:
    """Every bound of one limit that is broken."""
    for name, text in (item.get("min") or {}).items():
        yield from _below(name, kind, parse_quantity(text), requests.get(name), limits.get(name))
    for name, text in (item.get("max") or {}).items():
        yield from _above(name, kind, parse_quantity(text), requests.get(name), limits.get(name))
    for name, text in (item.get("maxLimitRequestRatio") or {}).items():
        yield from _ratio(name, kind, parse_quantity(text), requests.get(name), limits.get(name))


def _below(name: str, kind: str, edge: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    head = f"minimum {name} usage per {kind} is {edge}"
    if request is None:
        yield f"{head}.  No request is specified"
    elif request < edge:
        yield f"{head}, but request is {request}"
    elif limit is not None and limit < edge:
        yield f"{head}, but limit is {limit}"


def _above(name: str, kind: str, edge: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    head = f"maximum {name} usage per {kind} is {edge}"
    if limit is None:
        yield f"{head}.  No limit is specified"
    elif limit > edge:
        yield f"{head}, but limit is {limit}"
    elif request is not None and request > edge:
        yield f"{head}, but request is {request}"


def _ratio(name: str, kind: str, edge: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    head = f"{name} max limit to request ratio per {kind} is {edge}"
    if not request:
        yield f"{head}, but no request is specified or request is 0"
    elif not limit:
        yield f"{head}, but no limit is specified or limit is 0"
    elif limit.nanos * 10**9 > edge.nanos * request.nanos:
        yield f"{head}, but provided ratio is {limit.nanos / request.nanos:.6f}"

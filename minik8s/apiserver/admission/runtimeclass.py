"""RuntimeClass: a pod's runtime brings its overhead and its demands on nodes with it."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from minik8s.api.resources import RUNTIME_CLASSES
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.meta import Doc, Obj
from minik8s.machinery.quantity import parse_quantity


class RuntimeClass(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/runtimeclass."""

    name: ClassVar[str] = "RuntimeClass"
    resources: ClassVar[Collection[str]] = ("pods",)
    stands_on: ClassVar[Collection[str]] = (RUNTIME_CLASSES.group_resource,)

    def admit(self, attributes: Attributes, world: World) -> None:
        pod = attributes.object
        if pod is None or not attributes.concerns("CREATE", "pods"):
            return
        spec = pod["spec"]
        name = spec.get("runtimeClassName")
        runtime = world.get(RUNTIME_CLASSES, name) if name else None
        if name and runtime is None:
            raise attributes.forbidden(f'pod rejected: RuntimeClass "{name}" not found')
        fixed = ((runtime or {}).get("overhead") or {}).get("podFixed") or {}
        if spec.get("overhead") and not fixed:
            raise attributes.forbidden(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            )
        if spec.get("overhead") and not _same_amounts(spec["overhead"], fixed):
            raise attributes.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        if fixed:
            spec["overhead"] = dict(fixed)
        if runtime is not None:
            _set_scheduling(attributes, spec, runtime.get("scheduling") or {})


def _same_amounts(left: Doc, right: Doc) -> bool:
    return left.keys() == right.keys() and all(parse_quantity(left[k]) == parse_quantity(right[k]) for k in left)


def _set_scheduling(attributes: Attributes, spec: Obj, scheduling: Doc) -> None:
    selector = spec.get("nodeSelector") or {}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if selector.get(key, value) != value:
            raise attributes.forbidden(
                f"pod rejected: conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {selector[key]}"
            )
    if scheduling.get("nodeSelector"):
        spec["nodeSelector"] = {**selector, **scheduling["nodeSelector"]}
    tolerations = spec.get("tolerations") or []
    added = [dict(t) for t in scheduling.get("tolerations") or () if t not in tolerations]
    if added:
        spec["tolerations"] = [*tolerations, *added]

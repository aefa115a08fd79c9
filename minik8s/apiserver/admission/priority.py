"""Priority: a class's name becomes a number, which only this plugin may choose."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from minik8s.api.resources import PRIORITY_CLASSES
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.meta import Doc, Obj, name_of

_SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_PREEMPTING = "PreemptLowerPriority"


class Priority(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/priority."""

    name: ClassVar[str] = "Priority"
    resources: ClassVar[Collection[str]] = ("pods", "priorityclasses.scheduling.k8s.io")
    stands_on: ClassVar[Collection[str]] = (PRIORITY_CLASSES.group_resource,)

    def admit(self, attributes: Attributes, world: World) -> None:
        pod = attributes.object
        if pod is None:
            return
        if attributes.concerns("CREATE", "pods"):
            self._set(attributes, pod["spec"], world)
        elif attributes.concerns("UPDATE", "pods") and attributes.old is not None:
            for field in ("priority", "preemptionPolicy"):
                if field not in pod["spec"] and field in attributes.old["spec"]:
                    pod["spec"][field] = attributes.old["spec"][field]

    def _set(self, attributes: Attributes, spec: Obj, world: World) -> None:
        name = spec.get("priorityClassName", "")
        chosen = world.get(PRIORITY_CLASSES, name) if name else _default_class(world)
        if name and chosen is None and name not in _SYSTEM:
            raise attributes.forbidden(f"no PriorityClass with name {name} was found")
        if chosen is not None:
            spec["priorityClassName"] = name_of(chosen)
        value = chosen.get("value", 0) if chosen is not None else _SYSTEM.get(name, 0)
        policy = (chosen or {}).get("preemptionPolicy") or _PREEMPTING
        if spec.get("priority", value) != value:
            raise attributes.forbidden(
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
        if spec.get("preemptionPolicy", policy) != policy:
            raise attributes.forbidden(
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name"
            )
        spec["priority"], spec["preemptionPolicy"] = value, policy

    def validate(self, attributes: Attributes, world: World) -> None:
        new = attributes.object
        writes = any(attributes.concerns(operation, _CLASSES) for operation in ("CREATE", "UPDATE"))
        if new is None or not writes or not new.get("globalDefault"):
            return
        present = _default_class(world)
        if present is not None and name_of(present) != name_of(new):
            why = f"PriorityClass {name_of(present)} is already marked as default. Only one default can exist"
            raise attributes.forbidden(why)


_CLASSES = "priorityclasses.scheduling.k8s.io"


def _default_class(world: World) -> Doc | None:
    """The class for pods that name none; the lowest, should there be several."""
    marked = [found for found in world.list(PRIORITY_CLASSES) if found.get("globalDefault")]
    return min(marked, key=lambda found: found.get("value", 0), default=None)

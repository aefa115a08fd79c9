"""Ownership seen through the scale subresource: who owns a workload's replicas owns `.spec.replicas` of its Scale.

Writers of a Scale conflict with each other and with the workload's own writers about one field only. Upstream:
apimachinery `pkg/util/managedfields/scalehandler.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from minik8s.machinery.fieldset import FieldSet, difference, intersection
from minik8s.machinery.managedfields import Manager, read_managers, write_managers
from minik8s.machinery.meta import Doc, Obj

SCALE_VERSION = "autoscaling/v1"
_REPLICAS: FieldSet = {"f:spec": {"f:replicas": {}}}


def to_scale(entries: Sequence[Doc], replicas: FieldSet = _REPLICAS) -> list[Obj]:
    """The managedFields of the Scale: those managers of the workload that own its replicas (`replicas`: the path)."""
    owners = [m for m in read_managers(entries) or () if intersection(m.fields, replicas)]
    return write_managers(attrs.evolve(m, api_version=SCALE_VERSION, fields=_REPLICAS) for m in owners)


def to_parent(
    scale_entries: Sequence[Doc], entries: Sequence[Doc], api_version: str, replicas: FieldSet = _REPLICAS
) -> list[Obj]:
    """The workload's managedFields after a write to its Scale has left these of the Scale."""
    of_scale = {_who(m): m for m in read_managers(scale_entries) or () if intersection(m.fields, _REPLICAS)}
    result: list[Manager] = []
    for manager in read_managers(entries) or ():
        if not intersection(manager.fields, replicas):
            result.append(manager)
        elif _who(manager) in of_scale:
            result.append(attrs.evolve(manager, time=of_scale.pop(_who(manager)).time))
        else:
            result.append(attrs.evolve(manager, fields=difference(manager.fields, replicas)))
    result += [attrs.evolve(m, api_version=api_version, fields=replicas) for m in of_scale.values()]
    return write_managers(m for m in result if m.fields)


def _who(manager: Manager) -> tuple[str, str, str]:
    """A manager's identity without its version, which is another one in the Scale."""
    return manager.name, manager.operation, manager.subresource

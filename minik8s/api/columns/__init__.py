"""Server-side printing: what `kubectl get` shows of every kind.

Upstream: `pkg/printers/internalversion/printers.go`; kubectl prints the rows that the server computed. One file per
API group (core in four: pods, core, services, volumes) holds its kinds' columns and cells; `render.py` has what they
share. Everything is pure: a document and the time in, cells out. Kinds without columns of their own get a name and
their creation time, custom resources what their definition says.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from minik8s.api.columns.custom import custom_columns
from minik8s.api.columns.definition import Column, Columns
from minik8s.api.columns.meta import DEFAULT, SCALE, STATUS
from minik8s.api.resource import Resource

__all__ = ["DEFAULT", "SCALE", "STATUS", "Column", "Columns", "columns_for", "columns_for_kind", "custom_columns"]


def columns_for(resource: Resource[Any]) -> Columns:
    """The table columns of a resource's kind."""
    if resource.custom is not None:
        compiled = resource.custom.type.compiled
        if "columns" not in compiled:
            compiled["columns"] = custom_columns(resource.custom.columns)
        columns: Columns = compiled["columns"]
        return columns
    return columns_for_kind(resource.group, resource.kind)


def columns_for_kind(group: str, kind: str) -> Columns:
    """The table columns of a kind, the default ones when it has none of its own."""
    return _registry().get((group, kind), DEFAULT)


@cache
def _registry() -> dict[tuple[str, str], Columns]:
    from minik8s.api.columns import (
        admissionregistration,
        apiregistration,
        apps,
        autoscaling,
        batch,
        certificates,
        coordination,
        core,
        discovery,
        events,
        flowcontrol,
        meta,
        networking,
        node,
        pods,
        policy,
        rbac,
        resource,
        scheduling,
        services,
        storage,
        volumes,
    )

    modules = (
        admissionregistration, apiregistration, apps, autoscaling, batch, certificates, coordination, core, discovery,
        events, flowcontrol, meta, networking, node, pods, policy, rbac, resource, scheduling, services, storage,
        volumes,
    )  # fmt: skip
    return {key: columns for module in modules for key, columns in module.COLUMNS.items()}

"""Columns of the role bindings; roles have the default ones."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import age, dig
from minik8s.machinery.meta import Doc, name_of


def _binding(obj: Doc, now: datetime) -> list[Any]:
    subjects = obj.get("subjects") or ()

    def named(kind: str) -> str:
        return ", ".join(s.get("name", "") for s in subjects if s.get("kind") == kind)

    accounts = [f"{s.get('namespace', '')}/{s.get('name', '')}" for s in subjects if s.get("kind") == "ServiceAccount"]
    role = f"{dig(obj, 'roleRef', 'kind', default='')}/{dig(obj, 'roleRef', 'name', default='')}"
    return [name_of(obj), role, age(obj, now), named("User"), named("Group"), ", ".join(accounts)]


_BINDING = columns("Name:s/name, Role:s, Age:s, Users:s+, Groups:s+, ServiceAccounts:s+", _binding)
_GROUP = "rbac.authorization.k8s.io"
COLUMNS = {(_GROUP, "RoleBinding"): _BINDING, (_GROUP, "ClusterRoleBinding"): _BINDING}

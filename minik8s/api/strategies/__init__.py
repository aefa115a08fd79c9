"""What each built-in kind does that its type table cannot say: defaults, initial status, validation, immutability.

Upstream counterparts: pkg/apis/*/v1/defaults.go, pkg/apis/*/validation and pkg/registry/*/*/strategy.go. One file per
API group (core is a folder), imported when the first of its kinds is asked for. Everything here is pure. Error
texts are upstream's to the letter, with all errors of a document reported at once.

Left out on purpose: the CEL expressions of device selectors are measured, not compiled; annotations that seccomp and
AppArmor had before there were fields for them are not compared with the fields; rules that upstream relaxes for objects
which an older server stored, since there was none; and the text diff behind messages about
immutable specs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from minik8s.api.resource import Resource
from minik8s.api.strategies.kind import KindStrategy
from minik8s.api.strategy import Strategy
from minik8s.schema import table

_MODULES = {
    "": "core",
    "admissionregistration.k8s.io": "admissionregistration",
    "apiextensions.k8s.io": "apiextensions",
    "apiregistration.k8s.io": "apiregistration",
    "apps": "apps",
    "autoscaling": "autoscaling",
    "batch": "batch",
    "certificates.k8s.io": "certificates",
    "coordination.k8s.io": "coordination",
    "discovery.k8s.io": "discovery",
    "events.k8s.io": "events",
    "flowcontrol.apiserver.k8s.io": "flowcontrol",
    "networking.k8s.io": "networking",
    "node.k8s.io": "node",
    "policy": "policy",
    "rbac.authorization.k8s.io": "rbac",
    "resource.k8s.io": "resource",
    "scheduling.k8s.io": "scheduling",
    "storage.k8s.io": "storage",
}


@cache
def strategy_for(resource: Resource[Any]) -> Strategy:
    """The strategy of a built-in resource: its own, else what the type table implies."""
    found = _of_group(resource.group)
    kind = found.get(f"{resource.version}/{resource.plural}") or found.get(resource.plural)
    if kind is not None:
        return kind(resource)
    if table.has_struct(resource.api_version if resource.group else "core/v1", resource.kind):
        return KindStrategy(resource)
    return Strategy()


def load_all() -> None:
    """Imports every group now: a cluster's garbage collector looks at all kinds at its start."""
    for group in _MODULES:
        _of_group(group)


def _of_group(group: str) -> Mapping[str, type[KindStrategy]]:
    """The strategies of a group by plural, or by version/plural where versions differ."""
    if group not in _MODULES:
        return {}
    strategies: Mapping[str, type[KindStrategy]] = import_module(f"{__name__}.{_MODULES[group]}").STRATEGIES
    return strategies

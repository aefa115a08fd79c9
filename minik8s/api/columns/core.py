"""Columns of core's nodes, namespaces, configuration, accounts and quotas."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import NONE, UNKNOWN, age, dig
from minik8s.machinery.meta import Doc, find_condition, labels_of, name_of

_ROLE_PREFIX = "node-role.kubernetes.io/"
_ROLE_LABEL = "kubernetes.io/role"


def _roles(obj: Doc) -> str:
    roles = set()
    for key, value in labels_of(obj).items():
        if key.startswith(_ROLE_PREFIX) and key != _ROLE_PREFIX:
            roles.add(key.removeprefix(_ROLE_PREFIX))
        elif key == _ROLE_LABEL and value:
            roles.add(value)
    return ",".join(sorted(roles)) or NONE


def _node_status(obj: Doc) -> str:
    ready = find_condition(dig(obj, "status", "conditions"), "Ready")
    if ready is None:
        status = "Unknown"
    else:
        status = "Ready" if ready.get("status") == "True" else "NotReady"
    return status + (",SchedulingDisabled" if dig(obj, "spec", "unschedulable") else "")


def _address(obj: Doc, type_: str) -> str:
    addresses = dig(obj, "status", "addresses", default=())
    return next((a["address"] for a in addresses if a.get("type") == type_), NONE)


def _node(obj: Doc, now: datetime) -> list[Any]:
    info = dig(obj, "status", "nodeInfo", default={})
    kernel, architecture = info.get("kernelVersion"), info.get("architecture")
    if kernel and architecture:
        kernel = f"{kernel} ({architecture})"
    return [
        name_of(obj), _node_status(obj), _roles(obj), age(obj, now), info.get("kubeletVersion", ""),
        _address(obj, "InternalIP"), _address(obj, "ExternalIP"), info.get("osImage") or UNKNOWN,
        kernel or UNKNOWN, info.get("containerRuntimeVersion") or UNKNOWN,
    ]  # fmt: skip


def _namespace(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), dig(obj, "status", "phase", default=""), age(obj, now)]


def _config_map(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, now)]


def _secret(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), obj.get("type", ""), len(obj.get("data") or ()), age(obj, now)]


def _service_account(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), age(obj, now)]


def _resource_quota(obj: Doc, now: datetime) -> list[Any]:
    """Every limited resource as `name: used/hard`; those that begin with `limits.` have a column of their own."""
    hard = dig(obj, "status", "hard", default={})
    used = dig(obj, "status", "used", default={})
    texts = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
    requests = ", ".join(text for name, text in texts.items() if not name.startswith("limits."))
    limits = ", ".join(text for name, text in texts.items() if name.startswith("limits."))
    return [name_of(obj), requests, limits, age(obj, now)]


def _component_status(obj: Doc, now: datetime) -> list[Any]:
    healthy = find_condition(obj.get("conditions"), "Healthy") or {}
    status = {"True": "Healthy", "False": "Unhealthy"}.get(healthy.get("status", ""), "Unknown")
    return [name_of(obj), status, healthy.get("message", ""), healthy.get("error", "")]


COLUMNS = {
    ("", "Node"): columns(
        "Name:s/name, Status:s, Roles:s, Age:s, Version:s, Internal-IP:s+, External-IP:s+, OS-Image:s+, "
        "Kernel-Version:s+, Container-Runtime:s+",
        _node,
    ),
    ("", "Namespace"): columns("Name:s/name, Status:s, Age:s", _namespace),
    ("", "ConfigMap"): columns("Name:s/name, Data:s, Age:s", _config_map),
    ("", "Secret"): columns("Name:s/name, Type:s, Data:s, Age:s", _secret),
    ("", "ServiceAccount"): columns("Name:s/name, Age:s", _service_account),
    ("", "ResourceQuota"): columns("Name:s/name, Request:s, Limit:s, Age:s", _resource_quota),
    ("", "ComponentStatus"): columns("Name:s/name, Status:s, Message:s, Error:s", _component_status),
}

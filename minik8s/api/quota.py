"""What an object counts for in a ResourceQuota. Upstream: pkg/quota/v1/evaluator/core.

The admission plugin asks it for one object, the quota controller for all of a namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from minik8s.api.pods import (
    ResourceAmounts,
    container_amounts,
    is_terminal,
    pod_limits,
    pod_requests,
    qos_class,
)
from minik8s.api.resizing import effective_spec
from minik8s.api.resource import Resource
from minik8s.api.resources import PODS
from minik8s.machinery.meta import Doc, parse_time
from minik8s.machinery.quantity import ZERO, Quantity, from_value, parse_quantity

ONE = from_value(1)
_PLAIN = ("cpu", "memory", "ephemeral-storage")
_COUNTED_BY_NAME = frozenset(
    {
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
    }
)
_CLASS_SUFFIX = ".storageclass.storage.k8s.io/"
_REQUIRED_OF_CONTAINERS = frozenset(
    {*_PLAIN, *(f"{part}.{name}" for part in ("requests", "limits") for name in _PLAIN)}
)


def quota_hard(quota: Doc) -> ResourceAmounts:
    """The quota's limits."""
    return {name: parse_quantity(amount) for name, amount in (quota["spec"].get("hard") or {}).items()}


def usage_of(resource: Resource[Any], obj: Doc, now: datetime) -> ResourceAmounts:
    """What one object uses, under every name that a quota may have for it."""
    usage: ResourceAmounts = {f"count/{resource.group_resource}": ONE}
    if resource.group:
        return usage
    if resource.plural == "pods":
        usage.update(_pod_usage(obj, now))
    elif resource.plural in _COUNTED_BY_NAME:
        usage[resource.plural] = ONE
        if resource.plural == "services":
            usage.update(_service_usage(obj["spec"]))
        elif resource.plural == "persistentvolumeclaims":
            usage.update(_claim_usage(obj["spec"]))
    return usage


def overstays_at(resource: Resource[Any], obj: Doc) -> datetime | None:
    """When a pod that is being deleted counts no more though it is still there, on a lost node for instance.

    That is a second grace period after its deletionTimestamp (upstream's QuotaV1Pod); None for everything else.
    """
    metadata = obj["metadata"]
    grace = metadata.get("deletionGracePeriodSeconds")
    if resource.group_resource != "pods" or "deletionTimestamp" not in metadata or grace is None:
        return None
    return parse_time(metadata["deletionTimestamp"]) + timedelta(seconds=grace)


def _pod_usage(pod: Doc, now: datetime) -> ResourceAmounts:
    """Nothing once the pod has ended or overstays its deletion; the deletion alone does not free anything."""
    gone = overstays_at(PODS, pod)
    if is_terminal(pod) or (gone is not None and now > gone):
        return {}
    usage: ResourceAmounts = {"pods": ONE}
    counted = {"spec": effective_spec(pod)}
    for name, amount in pod_requests(counted).items():
        usage[f"requests.{name}"] = amount
        if name in _PLAIN or name.startswith("hugepages-"):
            usage[name] = amount
    for name, amount in pod_limits(counted).items():
        if name in _PLAIN:
            usage[f"limits.{name}"] = amount
    return usage


def _service_usage(spec: Mapping[str, Any]) -> ResourceAmounts:
    ports = from_value(len(spec.get("ports") or ()))
    if spec.get("type") == "NodePort":
        return {"services.nodeports": ports}
    if spec.get("type") != "LoadBalancer":
        return {}
    if spec.get("allocateLoadBalancerNodePorts") is False:
        ports = from_value(sum(1 for port in spec.get("ports") or () if port.get("nodePort")))
    return {"services.loadbalancers": ONE, "services.nodeports": ports}


def _claim_usage(spec: Mapping[str, Any]) -> ResourceAmounts:
    storage = parse_quantity(((spec.get("resources") or {}).get("requests") or {}).get("storage", "0"))
    usage = {"requests.storage": storage}
    if name := spec.get("storageClassName"):
        usage[f"{name}{_CLASS_SUFFIX}requests.storage"] = storage
        usage[f"{name}{_CLASS_SUFFIX}persistentvolumeclaims"] = ONE
    return usage


def applies_to(quota: Doc, resource: Resource[Any], obj: Doc) -> bool:
    """Whether the quota's scopes select the object. A quota with scopes is about pods and claims only."""
    spec = quota["spec"]
    wanted: list[Mapping[str, Any]] = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    wanted += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    if not wanted:
        return True
    if resource.group_resource == "pods":
        return all(_pod_in_scope(obj, expression) for expression in wanted)
    if resource.group_resource == "persistentvolumeclaims":
        name = obj["spec"].get("volumeAttributesClassName") or ""
        return all(e["scopeName"] == "VolumeAttributesClass" and _selects(e, name) for e in wanted)
    return False


def _pod_in_scope(pod: Doc, expression: Mapping[str, Any]) -> bool:
    spec = pod["spec"]
    match expression["scopeName"]:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return qos_class(pod) == "BestEffort"
        case "NotBestEffort":
            return qos_class(pod) != "BestEffort"
        case "PriorityClass":
            return _selects(expression, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _affinity_crosses(spec.get("affinity") or {})
        case _:
            return False


def _selects(expression: Mapping[str, Any], value: str) -> bool:
    values = expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "DoesNotExist":
            return not value
        case _:
            return bool(value)


def _affinity_crosses(affinity: Mapping[str, Any]) -> bool:
    for name in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(name) or {}
        terms = [*(part.get("requiredDuringSchedulingIgnoredDuringExecution") or ())]
        weighted = part.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [term.get("podAffinityTerm") or {} for term in weighted]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def missing_amounts(resource: Resource[Any], obj: Doc, hard: Mapping[str, Quantity]) -> str:
    """What a pod's containers must say because the quota counts it: `limits.memory for: c; requests.cpu for: c`."""
    if resource.group_resource != "pods":
        return ""
    missing: dict[str, list[str]] = {}
    for name in sorted(_REQUIRED_OF_CONTAINERS & set(hard)):
        without = _containers_without(obj, name)
        if without:
            missing[name] = without
    return "; ".join(f"{name} for: {','.join(without)}" for name, without in missing.items())


def _containers_without(pod: Doc, quota_name: str) -> list[str]:
    part, _, name = quota_name.rpartition(".")
    if name in (pod["spec"].get("resources") or {}).get(part or "requests", {}):
        return []
    containers = [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]
    if part == "limits":
        return sorted({c["name"] for c in containers if not container_amounts(c, "limits").get(name, ZERO)})
    return sorted({c["name"] for c in containers if not container_amounts(c, "requests").get(name, ZERO)})

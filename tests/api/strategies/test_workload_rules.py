"""Workloads, quotas and autoscalers: a document, and all that upstream says about it in its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource

Part = dict[str, Any]
NOT_NEGATIVE = "must be greater than or equal to 0"
EXISTS = (
    "must be 'Exist' only operator when scope is any of ResourceQuotaScopeTerminating, "
    "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
    "ResourceQuotaScopeCrossNamespacePodAffinity"
)


def workload(**spec: Any) -> Part:
    pods = {"containers": [{"name": "c", "image": "busybox"}]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pods}
    return {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}}


def daemons(**rolling: Any) -> Part:
    return workload(updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling})


def quota(hard: Part, *scopes: str, **spec: Any) -> Part:
    return {"spec": {"hard": hard, **({"scopes": list(scopes)} if scopes else {}), **spec}}


def selecting(*expressions: Part) -> Part:
    return {"scopeSelector": {"matchExpressions": list(expressions)}}


def limits(*items: Part) -> Part:
    return {"spec": {"limits": list(items)}}


def autoscaler(*metrics: Part, **spec: Any) -> Part:
    target = {"kind": "Deployment", "name": "d"}
    return {"spec": {"maxReplicas": 3, "scaleTargetRef": target, "metrics": list(metrics), **spec}}


ODD_SELECTOR = {"matchExpressions": [{"key": "k", "operator": "Odd"}]}
CREATED: list[tuple[Resource[Any], Part, list[str]]] = [
    (
        r.DEPLOYMENTS,
        workload(selector=ODD_SELECTOR, template={"spec": {"containers": []}}, minReadySeconds=-1),
        [
            'spec.selector.matchExpressions[0].operator: Invalid value: "Odd": not a valid selector operator',
            'spec.selector: Invalid value: {"matchExpressions":[{"key":"k","operator":"Odd"}]}: invalid label selector',
            f"spec.minReadySeconds: Invalid value: -1: {NOT_NEGATIVE}",
        ],
    ),
    (
        r.DAEMON_SETS,
        workload(updateStrategy={"type": "Odd"}, minReadySeconds=-1, revisionHistoryLimit=-1),
        [
            f"spec.minReadySeconds: Invalid value: -1: {NOT_NEGATIVE}",
            'spec.updateStrategy: Unsupported value: {"Type":"Odd","RollingUpdate":null}: supported values: '
            '"RollingUpdate", "OnDelete"',
            f"spec.revisionHistoryLimit: Invalid value: -1: {NOT_NEGATIVE}",
        ],
    ),
    (
        r.DAEMON_SETS,
        daemons(maxUnavailable="101%", maxSurge=-1),
        [
            f"spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: -1: {NOT_NEGATIVE}",
            'spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: -1: may not be set when maxUnavailable is "
            "non-zero",
        ],
    ),
    (
        r.CONTROLLER_REVISIONS,
        {"revision": -1},
        ["data: Required value: data is mandatory", f"revision: Invalid value: -1: {NOT_NEGATIVE}"],
    ),
    (r.RESOURCE_QUOTAS, quota({"pods": "1", "count/jobs.batch": "1", "requests.example.com/a": "1"}, "BestEffort"), []),
    (
        r.RESOURCE_QUOTAS,
        quota({"storage": "1", "requests.ephemeral-storage": "1"}, "PriorityClass", "Odd"),
        [
            'spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota',
            'spec.scopes: Invalid value: ["PriorityClass","Odd"]: unsupported scope applied to resource',
            'spec.scopes: Invalid value: ["PriorityClass","Odd"]: unsupported scope',
        ],
    ),
    (
        r.RESOURCE_QUOTAS,
        quota(
            {"services": "1"},
            **selecting(
                {"scopeName": "Terminating", "operator": "In", "values": ["a"]},
                {"scopeName": "Odd", "operator": "Exists", "values": ["a"]},
            ),
        ),
        [
            'spec.scopeSelector.matchExpressions: Invalid value: {"MatchExpressions":[{"ScopeName":"Terminating",'
            '"Operator":"In","Values":["a"]},{"ScopeName":"Odd","Operator":"Exists","Values":["a"]}]}: unsupported '
            "scope applied to resource",
            f'spec.scopeSelector.matchExpressions.operator: Invalid value: "In": {EXISTS}',
            'spec.scopeSelector.matchExpressions.scopeName: Invalid value: "Odd": unsupported scope',
            'spec.scopeSelector.matchExpressions.values: Invalid value: ["a"]: must be no value when `operator` is '
            "'Exist' or 'DoesNotExist' for scope selector",
        ],
    ),
    (
        r.LIMIT_RANGES,
        limits({"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "4"}, "default": {"cpu": "1"}}),
        [
            'spec.limits[0].defaultRequest[cpu]: Invalid value: "1": min value 2 is greater than default request '
            "value 1",
            'spec.limits[0].default[cpu]: Invalid value: "2": min value 2 is greater than default value 1',
        ],
    ),
    (
        r.LIMIT_RANGES,
        limits(
            {"type": "Pod", "min": {"cpu": "1"}, "max": {"cpu": "3"}, "maxLimitRequestRatio": {"cpu": "4"}},
            {
                "type": "Container",
                "default": {"example.com/a": "2"},
                "defaultRequest": {"example.com/a": "1"},
            },
            {"type": "Pod", "max": {"odd": "1"}},
        ),
        [
            'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "4": ratio 4 is greater than max/min = 3.000000',
            'spec.limits[1].defaultRequest[example.com/a]: Invalid value: "1": default value 2 must equal to '
            "defaultRequest value 1 in example.com/a",
            'spec.limits[2].type: Duplicate value: "Pod"',
            'spec.limits[2].max[odd]: Invalid value: "odd": must be a standard resource type or fully qualified',
            'spec.limits[2].max[odd]: Invalid value: "odd": must be a standard resource for containers',
        ],
    ),
    (
        r.HORIZONTAL_POD_AUTOSCALERS,
        autoscaler(
            {"type": "Pods", "resource": {"name": "", "target": {}}},
            {"type": "External", "external": {"target": {"type": "Value", "value": "1", "averageValue": "1"}}},
            {"type": "Object", "object": {"metric": {"name": "m"}, "target": {"type": "Value"}}},
        ),
        [
            "spec.metrics[0].resource.name: Required value: must specify a resource name",
            "spec.metrics[0].resource.target.type: Required value: must specify a metric target type",
            'spec.metrics[0].resource.target.type: Invalid value: "": must be either Utilization, Value, or '
            "AverageValue",
            "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value "
            "or a target utilization",
            "spec.metrics[0].pods: Required value: must populate information for the given metric source",
            "spec.metrics[1].external.metric.name: Required value: must specify a metric name",
            "spec.metrics[1].external.target.value: Forbidden: may not set both a target value for metric and a "
            "per-pod target",
            "spec.metrics[2].object.describedObject.kind: Required value",
            "spec.metrics[2].object.describedObject.name: Required value",
            "spec.metrics[2].object.target.averageValue: Required value: must set either a target value or "
            "averageValue",
        ],
    ),
]

CHANGED: list[tuple[Resource[Any], Part, Part, list[str]]] = [
    (
        r.REPLICA_SETS,
        workload(),
        workload(selector={"matchLabels": {"c": "d"}}, replicas=-1),
        [
            f"spec.replicas: Invalid value: -1: {NOT_NEGATIVE}",
            'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
            'spec.selector: Invalid value: {"matchLabels":{"c":"d"}}: field is immutable',
        ],
    ),
    (
        r.RESOURCE_QUOTAS,
        quota({"pods": "1"}),
        quota({"pods": "-1"}, "BestEffort"),
        [
            f'spec.hard[pods]: Invalid value: "-1": {NOT_NEGATIVE}',
            'spec.scopes: Invalid value: ["BestEffort"]: field is immutable',
        ],
    ),
]


@pytest.mark.parametrize(("resource", "doc", "expected"), CREATED)
def test_created(errors_of: Callable[..., list[str]], resource: Resource[Any], doc: Part, expected: list[str]) -> None:
    """A new document earns exactly upstream's causes, in upstream's order."""
    assert errors_of(resource, doc) == expected


@pytest.mark.parametrize(("resource", "before", "after", "expected"), CHANGED)
def test_changed(
    change_errors: Callable[..., list[str]], resource: Resource[Any], before: Part, after: Part, expected: list[str]
) -> None:
    """So does a change."""
    assert change_errors(resource, before, after) == expected

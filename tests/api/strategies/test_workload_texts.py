"""Validation of workloads: upstream's texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource

CONTAINER: dict[str, Any] = {"name": "c", "image": "busybox"}

LABELS = {"metadata": {"labels": {"a": "b"}}}


def template(**spec: Any) -> dict[str, Any]:
    return {**LABELS, "spec": {"containers": [CONTAINER], **spec}}


def workload(**spec: Any) -> dict[str, Any]:
    return {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template(), **spec}}


def rolling(**update: Any) -> dict[str, Any]:
    return workload(strategy={"type": "RollingUpdate", "rollingUpdate": update})


def job(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": template(restartPolicy="Never"), **spec}}


def cron(**spec: Any) -> dict[str, Any]:
    return {"spec": {"schedule": "* * * * *", "jobTemplate": job(), **spec}}


NOT_NEGATIVE = "must be greater than or equal to 0"
OPERATORS = "`operator` is 'Exists' or 'DoesNotExist'"
EXPRESSION: list[dict[str, Any]] = [{"key": "k", "operator": "In"}, {"key": "k", "operator": "Exists", "values": ["v"]}]

CASES: list[tuple[Resource[Any], dict[str, Any], list[str]]] = [
    *(
        (
            resource,
            workload(selector={"matchLabels": {"x": "y"}}),
            ['spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`'],
        )
        for resource in (r.REPLICA_SETS, r.DEPLOYMENTS, r.STATEFUL_SETS, r.DAEMON_SETS)
    ),
    (
        r.REPLICATION_CONTROLLERS,
        {"spec": {"selector": {"x": "y"}, "template": template()}},
        ['spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`'],
    ),
    (
        r.DEPLOYMENTS,
        workload(selector=None),
        [
            "spec.selector: Required value",
            'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
        ],
    ),
    *(
        (resource, workload(selector={}), [f"spec.selector: Invalid value: {{}}: empty selector is invalid for {kind}"])
        for resource, kind in (
            (r.DEPLOYMENTS, "deployment"),
            (r.REPLICA_SETS, "deployment"),
            (r.STATEFUL_SETS, "statefulset"),
            (r.DAEMON_SETS, "daemonset"),
        )
    ),
    (
        r.DEPLOYMENTS,
        workload(template=template(restartPolicy="Never")),
        ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ),
    (r.DEPLOYMENTS, workload(replicas=-1), [f"spec.replicas: Invalid value: -1: {NOT_NEGATIVE}"]),
    (
        r.DEPLOYMENTS,
        workload(selector={"matchLabels": {"a": "b"}, "matchExpressions": EXPRESSION}),
        [
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or "
            "'NotIn'",
            f"spec.selector.matchExpressions[1].values: Forbidden: may not be specified when {OPERATORS}",
            'spec.selector: Invalid value: {"matchLabels":{"a":"b"},"matchExpressions":[{"key":"k","operator":"In"},'
            '{"key":"k","operator":"Exists","values":["v"]}]}: invalid label selector',
        ],
    ),
    (
        r.DEPLOYMENTS,
        workload(strategy={"type": "Recreate", "rollingUpdate": {}}),
        [
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ],
    ),
    (
        r.DEPLOYMENTS,
        rolling(maxUnavailable=0, maxSurge=0),
        [
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ],
    ),
    (
        r.DEPLOYMENTS,
        rolling(maxUnavailable="101%"),
        ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%'],
    ),
    (
        r.DEPLOYMENTS,
        workload(progressDeadlineSeconds=5, minReadySeconds=5),
        ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
    ),
    (
        r.DEPLOYMENTS,
        workload(template=template(activeDeadlineSeconds=5)),
        ["spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"],
    ),
    (
        r.DEPLOYMENTS,
        workload(template=template(ephemeralContainers=[{"name": "e", "image": "x"}])),
        ["spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"],
    ),
    (
        r.STATEFUL_SETS,
        workload(podManagementPolicy="Foo"),
        ["spec.podManagementPolicy: Invalid value: \"Foo\": must be 'OrderedReady' or 'Parallel'"],
    ),
    (
        r.STATEFUL_SETS,
        workload(updateStrategy={"type": "OnDelete", "rollingUpdate": {}}),
        [
            'spec.updateStrategy.rollingUpdate: Invalid value: {"Partition":0,"MaxUnavailable":null}: only allowed for '
            "updateStrategy 'RollingUpdate'"
        ],
    ),
    (
        r.DAEMON_SETS,
        workload(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}),
        ["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
    ),
    (
        r.DAEMON_SETS,
        workload(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
        [
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is "
            "non-zero"
        ],
    ),
    (
        r.JOBS,
        {"spec": {"template": template()}},
        ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ),
    (
        r.JOBS,
        job(completionMode="Indexed", parallelism=1),
        ["spec.completions: Required value: when completion mode is Indexed"],
    ),
    (
        r.JOBS,
        job(selector={"matchLabels": {"a": "b"}}),
        [
            'spec.selector: Invalid value: {"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"the-uid"}}: '
            "`selector` not auto-generated"
        ],
    ),
    (
        r.JOBS,
        job(podReplacementPolicy="Foo"),
        ['spec.podReplacementPolicy: Unsupported value: "Foo": supported values: "Failed", "TerminatingOrFailed"'],
    ),
    (
        r.CRON_JOBS,
        cron(schedule="x"),
        ['spec.schedule: Invalid value: "x": expected exactly 5 fields, found 1: [x]'],
    ),
    (r.CRON_JOBS, cron(schedule=""), ["spec.schedule: Required value"]),
    (
        r.CRON_JOBS,
        cron(schedule="TZ=UTC * * * * *"),
        [
            'spec.schedule: Invalid value: "TZ=UTC * * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone '
            "field instead"
        ],
    ),
    (
        r.CRON_JOBS,
        cron(timeZone="Foo/Bar"),
        ['spec.timeZone: Invalid value: "Foo/Bar": unknown time zone Foo/Bar'],
    ),
    (r.CRON_JOBS, cron(timeZone=""), ['spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string']),
    (
        r.CRON_JOBS,
        cron(concurrencyPolicy="Foo"),
        ['spec.concurrencyPolicy: Unsupported value: "Foo": supported values: "Allow", "Forbid", "Replace"'],
    ),
]


@pytest.mark.parametrize(("resource", "doc", "expected"), CASES, ids=[f"{c[0].kind}-{i}" for i, c in enumerate(CASES)])
def test_texts(
    errors_of: Callable[..., list[str]], resource: Resource[Any], doc: dict[str, Any], expected: list[str]
) -> None:
    """Each mistake is reported at its path in upstream's words, and nothing else is."""
    assert errors_of(resource, doc) == expected

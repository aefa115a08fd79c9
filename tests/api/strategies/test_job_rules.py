"""Job and CronJob: a document, and all that upstream says about it in its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource

Part = dict[str, Any]
UID = "the-uid"
BOTH = "specifying both OnExitCodes and OnPodConditions is not supported"


def job(labels: Part | None = None, **spec: Any) -> Part:
    pods = {"containers": [{"name": "c", "image": "busybox"}], "restartPolicy": "Never"}
    return {"spec": {"template": {"metadata": {"labels": labels or {}}, "spec": pods}, **spec}}


def indexed(**spec: Any) -> Part:
    return job(completionMode="Indexed", **spec)


def failing(*rules: Part, **spec: Any) -> Part:
    return job(podFailurePolicy={"rules": list(rules)}, **spec)


CREATED: list[tuple[Resource[Any], Part, list[str]]] = [
    (
        r.JOBS,
        job({"job-name": "other", "controller-uid": "u"}),
        [
            'spec.template.metadata.labels[controller-uid]: Invalid value: {"job-name":"other","controller-uid":"u"}: '
            f"must be '{UID}'",
            'spec.template.metadata.labels[job-name]: Invalid value: {"job-name":"other","controller-uid":"u"}: '
            "must be 'x'",
            f"spec.template.metadata.labels[batch.kubernetes.io/controller-uid]: Required value: must be '{UID}'",
            "spec.template.metadata.labels[batch.kubernetes.io/job-name]: Required value: must be 'x'",
            "spec.template.metadata.labels: Invalid value: "
            '{"job-name":"other","controller-uid":"u"}: `selector` does not match template `labels`',
        ],
    ),
    (
        r.JOBS,
        job(completionMode="Odd", parallelism=-1, maxFailedIndexes=1, podReplacementPolicy=""),
        [
            "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
            'spec.completionMode: Unsupported value: "Odd": supported values: "NonIndexed", "Indexed"',
            'spec.podReplacementPolicy: Unsupported value: "": supported values: "Failed", "TerminatingOrFailed"',
        ],
    ),
    (
        r.JOBS,
        job(backoffLimitPerIndex=1, maxFailedIndexes=1),
        [
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
            "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
        ],
    ),
    (
        r.JOBS,
        indexed(parallelism=100_001),
        [
            "spec.completions: Required value: when completion mode is Indexed",
            "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is "
            "Indexed",
        ],
    ),
    (
        r.JOBS,
        indexed(completions=100_001, parallelism=10_001, backoffLimitPerIndex=1),
        [
            "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
            "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above "
            "100000 and used with backoff limit per index",
        ],
    ),
    (
        r.JOBS,
        {**indexed(completions=1000), "metadata": {"name": "n" * 60}},
        [
            f'metadata.name: Invalid value: "{"n" * 60}": will not able to create pod with invalid DNS label: '
            f"{'n' * 60}-999"
        ],
    ),
    (
        r.JOBS,
        failing({"onExitCodes": {"operator": "In", "values": [0]}, "onPodConditions": [{"type": "Ready"}]}),
        [
            'spec.podFailurePolicy.rules[0].action: Required value: valid values: ["Count" "FailIndex" "FailJob" '
            '"Ignore"]',
            "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
            f"spec.podFailurePolicy.rules[0]: Invalid value: {BOTH}",
        ],
    ),
    (
        r.JOBS,
        job(successPolicy={"rules": [{"succeededCount": 1}]}),
        [
            'spec.successPolicy: Invalid value: {"Rules":[{"SucceededIndexes":null,"SucceededCount":1}]}: requires '
            "indexed completion mode"
        ],
    ),
    (
        r.CRON_JOBS,
        {
            "metadata": {"name": "c" * 53},
            "spec": {
                "schedule": "* * * * *",
                "jobTemplate": job(selector={"matchLabels": {"a": "b"}}, manualSelector=True),
                "failedJobsHistoryLimit": -1,
            },
        },
        [
            'spec.jobTemplate.spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` will be '
            "auto-generated",
            'spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"',
            "spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
            f'metadata.name: Invalid value: "{"c" * 53}": must be no more than 52 characters',
        ],
    ),
]

CHANGED: list[tuple[Part, Part, list[str]]] = [
    (indexed(completions=2, parallelism=2), indexed(completions=3, parallelism=3), []),
    (
        indexed(completions=2, parallelism=2),
        indexed(completions=3, parallelism=2),
        ["spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism"],
    ),
    (
        job(completions=2),
        job(completions=3, backoffLimit=-1),
        [
            "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0",
            "spec.completions: Invalid value: 3: field is immutable",
        ],
    ),
]


@pytest.mark.parametrize(("resource", "doc", "expected"), CREATED)
def test_created(errors_of: Callable[..., list[str]], resource: Resource[Any], doc: Part, expected: list[str]) -> None:
    """A new document earns exactly upstream's causes, in upstream's order."""
    assert errors_of(resource, doc) == expected


@pytest.mark.parametrize(("before", "after", "expected"), CHANGED)
def test_changed(change_errors: Callable[..., list[str]], before: Part, after: Part, expected: list[str]) -> None:
    """So does a change, whose selector and labels are those that the server made."""
    mine = {"batch.kubernetes.io/controller-uid": UID, "controller-uid": UID}
    named = {"batch.kubernetes.io/job-name": "x", "job-name": "x"}
    for doc in (before, after):
        doc["spec"]["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": UID}}
        doc["spec"]["template"]["metadata"]["labels"] = {**mine, **named}
    assert change_errors(r.JOBS, before, after) == expected

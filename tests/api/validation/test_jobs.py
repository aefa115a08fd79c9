"""Policies of Jobs: when failures end one, when successes do, and who manages it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api.resources import JOBS

P, S = "spec.podFailurePolicy.rules", "spec.successPolicy.rules"


def job(**spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}
    return {"spec": {"template": template, **spec}}


def failing(*rules: dict[str, Any]) -> dict[str, Any]:
    return job(podFailurePolicy={"rules": list(rules)})


def succeeding(*rules: dict[str, Any]) -> dict[str, Any]:
    return job(completionMode="Indexed", completions=5, successPolicy={"rules": list(rules)})


def indexes(text: str, why: str) -> tuple[dict[str, Any], list[str]]:
    wrong = f'{S}[0].succeededIndexes: Invalid value: "{text}": error parsing succeededIndexes: {why}'
    return succeeding({"succeededIndexes": text}), [wrong]


CODES = {"operator": "In", "values": [1, 2]}
CASES: list[tuple[dict[str, Any], list[str]]] = [
    (failing({"action": "FailJob", "onExitCodes": CODES}), []),
    (failing({"action": "FailJob"}),
     [f"{P}[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"]),
    (failing({"action": "FailJob", "onExitCodes": CODES, "onPodConditions": [{"type": "DisruptionTarget"}]}),
     [f"{P}[0]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"]),
    (failing(*[{"action": "Count", "onExitCodes": CODES}] * 21),
     ["spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items"]),
    (failing({"action": "Count", "onExitCodes": {"operator": "In", "values": [0, 2, 1]}}), [
        f"{P}[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
        f"{P}[0].onExitCodes.values: Invalid value: [0,2,1]: must be ordered",
    ]),
    (succeeding({"succeededIndexes": "0,2-4", "succeededCount": 4}), []),
    (succeeding({"succeededIndexes": "0,2-4", "succeededCount": 5}), [
        f"{S}[0].succeededCount: Invalid value: 5: must be less than or equal to 4 (the number of indexes in the "
        "specified succeededIndexes field)"
    ]),
    (succeeding({"succeededCount": 6}), [
        f"{S}[0].succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified "
        "completions)"
    ]),
    (succeeding({}),
     [f"{S}[0]: Required value: at least one of succeededCount or succeededIndexes must be specified"]),
    (succeeding(),
     [f"{S}: Required value: at least one rules must be specified when the successPolicy is specified"]),
    indexes("a", 'cannot convert string to integer for index: "a"'),
    indexes("5", 'too large index: "5"'),
    indexes("2-1", "non-increasing order, previous: 2, current: 1"),
    indexes("3,1", "non-increasing order, previous: 3, current: 1"),
    indexes("1-2-3", 'the fragment "1-2-3" violates the requirement that an index interval can have at most two parts '
                     "separated by '-'"),
    (job(managedBy="x"),
     ['spec.managedBy: Invalid value: "x": must be a domain-prefixed path (such as "acme.io/foo")']),
    (job(managedBy="a.io/" + "x" * 60), ["spec.managedBy: Too long: may not be more than 63 bytes"]),
]  # fmt: skip


@pytest.mark.parametrize(("doc", "expected"), CASES, ids=range(len(CASES)))
def test_texts(errors_of: Callable[..., list[str]], doc: dict[str, Any], expected: list[str]) -> None:
    """Each mistake is reported at its path in upstream's words, and nothing else is."""
    assert errors_of(JOBS, doc) == expected

"""Addresses, classes, slices, nodes and their warnings; what a Job's status may say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource
from minik8s.api.strategies import strategy_for
from minik8s.machinery.names import dns1123_subdomain
from tests.api.conftest import made, texts

PARENT = {"resource": "services", "name": "s", "namespace": "default"}
ONE_EACH = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96"


def slice_of(**endpoint: Any) -> dict[str, Any]:
    return {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], **endpoint}], "ports": []}


def ingress_class(**parameters: Any) -> dict[str, Any]:
    return {"spec": {"controller": "example.com/x", "parameters": {"kind": "K", "name": "n", **parameters}}}


CASES: list[tuple[Resource[Any], dict[str, Any], list[str]]] = [
    (r.IP_ADDRESSES, {"spec": {}}, ["spec.parentRef: Required value"]),
    (r.IP_ADDRESSES, {"spec": {"parentRef": {"group": "A", "namespace": "a/b"}}}, [
        f'spec.parentRef.group: Invalid value: "A": {dns1123_subdomain("A")[0]}',
        "spec.parentRef.resource: Required value", "spec.parentRef.name: Required value",
        "spec.parentRef.namespace: Invalid value: \"a/b\": may not contain '/'",
    ]),
    (r.SERVICE_CIDRS, {"spec": {}}, ["spec.cidrs: Required value: at least one CIDR required"]),
    (r.SERVICE_CIDRS, {"spec": {"cidrs": ["10.0.0.0/24", "10.0.1.0/24"]}},
     [f'spec.cidrs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: {ONE_EACH}']),
    (r.SERVICE_CIDRS, {"spec": {"cidrs": ["10.0.0.1/24"]}},
     ['spec.cidrs[0]: Invalid value: "10.0.0.1/24": must be in canonical form ("10.0.0.0/24")']),
    (r.INGRESS_CLASSES, {"spec": {"controller": "x"}}, [
        'spec.controller: Invalid value: "x": must be a domain-prefixed path (such as "acme.io/foo")'
    ]),
    (r.INGRESS_CLASSES, {"spec": {"controller": "A/x"}},
     [f'spec.controller: Invalid value: "A": {dns1123_subdomain("A")[0]}']),
    (r.INGRESS_CLASSES, ingress_class(apiGroup="A", name="a/b"), [
        f'spec.parameters.apiGroup: Invalid value: "A": {dns1123_subdomain("A")[0]}',
        "spec.parameters.name: Invalid value: \"a/b\": may not contain '/'",
    ]),
    (r.ENDPOINT_SLICES, slice_of(hints={"forZones": [{"name": "z"}, {"name": "z"}]}),
     ['endpoints[0].hints.forZones[1].name: Duplicate value: "z"']),
    (r.ENDPOINT_SLICES, slice_of(hints={"forNodes": [{"name": str(n)} for n in range(9)]}),
     ["endpoints[0].hints.forNodes: Too many: 9: must have at most 8 items"]),
    (r.NODES, {"spec": {"podCIDRs": ["10.0.0.0/24", "10.0.0.0/24"]}}, [
        'spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.0.0/24"]: may specify no more than one CIDR for each IP '
        "family",
        'spec.podCIDRs[1]: Duplicate value: "10.0.0.0/24"',
    ]),
    (r.HORIZONTAL_POD_AUTOSCALERS, {"spec": {
        "maxReplicas": 2, "scaleTargetRef": {"kind": "D", "name": "d"}, "behavior": {"scaleUp": {"tolerance": "-1"}},
    }}, [
        'spec.behavior.scaleUp.tolerance: Invalid value: "-1": must be greater than or equal to 0'
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "doc", "expected"), CASES, ids=range(len(CASES)))
def test_texts(
    errors_of: Callable[..., list[str]], resource: Resource[Any], doc: dict[str, Any], expected: list[str]
) -> None:
    """Each mistake is reported at its path in upstream's words, and nothing else is."""
    assert errors_of(resource, doc) == expected


def test_names_of_addresses() -> None:
    """An IPAddress is named by its address, in the one way to write it."""
    name_errors = strategy_for(r.IP_ADDRESSES).name_errors
    assert name_errors("10.0.0.1") == []
    assert name_errors("2001:0db8::1") == ['must be in canonical form ("2001:db8::1")']
    assert name_errors("x") == ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]


def test_a_node_lists_no_address_twice() -> None:
    """Updates of a node, and of its status, are checked for double addresses."""
    old = made(r.NODES, {})
    address = {"type": "InternalIP", "address": "10.0.0.1"}
    new = {**old, "status": {**old["status"], "addresses": [address, address]}}
    expected = ['status.addresses[1]: Duplicate value: {"type":"InternalIP","address":"10.0.0.1"}']
    assert texts(strategy_for(r.NODES).validate_status_update(new, old)) == expected


@pytest.mark.parametrize(
    ("resource", "doc", "expected"),
    [
        (r.INGRESSES, {"metadata": {"annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": {}},
         ["annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"]),
        (r.NODES, {"spec": {"externalID": "x"}},
         ["spec.externalID: this field is deprecated, and is unused by Kubernetes"]),
        (r.SERVICE_ACCOUNTS, {"metadata": {"annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}},
         ["metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate "
          "namespaces to isolate access to mounted secrets"]),
    ],
)  # fmt: skip
def test_warnings(resource: Resource[Any], doc: dict[str, Any], expected: list[str]) -> None:
    """What is legal and does nothing any more."""
    assert strategy_for(resource).warnings(made(resource, doc), None) == expected


NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def conditions(*kinds: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": "True"} for kind in kinds]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"conditions": conditions("Complete"), "startTime": NOW, "completionTime": LATER}, []),
        ({"conditions": conditions("Failed"), "startTime": NOW}, []),
        ({"active": -1}, ["status.active: Invalid value: -1: must be greater than or equal to 0"]),
        ({"completionTime": NOW}, [
            'status.completionTime: Invalid value: "2026-01-01T00:00:00Z": cannot set completionTime when there is no '
            "Complete=True condition"
        ]),
        ({"conditions": conditions("Complete"), "active": 1}, [
            "status.completionTime: Required value: completionTime is required for Complete jobs",
            "status.startTime: Required value: startTime is required for finished job",
            "status.active: Invalid value: 1: active>0 is invalid for finished job",
        ]),
        ({"conditions": conditions("Complete", "Failed"), "startTime": LATER, "completionTime": NOW}, [
            "status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
            f'status.completionTime: Invalid value: "{NOW}": completionTime cannot be set before startTime',
        ]),
        ({"uncountedTerminatedPods": {"succeeded": ["a", "a"]}},
         ['status.uncountedTerminatedPods.succeeded[1]: Duplicate value: "a"']),
        ({"conditions": conditions("Failed"), "startTime": NOW, "uncountedTerminatedPods": {"failed": ["a"]}}, [
            'status.uncountedTerminatedPods: Invalid value: {"failed":["a"]}: uncountedTerminatedPods needs to be '
            "empty for finished job"
        ]),
    ],
)  # fmt: skip
def test_job_status(status: dict[str, Any], expected: list[str]) -> None:
    """A Job is over once, when nothing of it runs any more."""
    template = {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}
    old = made(r.JOBS, {"spec": {"template": template}})
    assert texts(strategy_for(r.JOBS).validate_status_update({**old, "status": status}, old)) == expected

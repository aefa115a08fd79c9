"""Dynamic resource allocation: defaults, mistakes and what may not change."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resource import Resource
from minik8s.api.resources import DEVICE_CLASSES, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS, RESOURCE_SLICES
from minik8s.api.strategies import strategy_for
from tests.api.conftest import made, texts

REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
ONE_SELECTION = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"


def claim(*requests: Any, **devices: Any) -> dict[str, Any]:
    return {"spec": {"devices": {"requests": list(requests), **devices}}}


def exactly(**fields: Any) -> dict[str, Any]:
    return {"name": "r", "exactly": {"deviceClassName": "gpu", **fields}}


def offer(*devices: Any, **spec: Any) -> dict[str, Any]:
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    selection = {} if {"nodeName", "nodeSelector", "perDeviceNodeSelection"} & spec.keys() else {"allNodes": True}
    return {"spec": {"driver": "d.example.com", "pool": pool, "devices": list(devices), **selection, **spec}}


def device(**fields: Any) -> dict[str, Any]:
    return {"name": "d0", **fields}


OPAQUE = {"opaque": {"driver": "d.example.com", "parameters": {"a": 1}}}
CASES: list[tuple[Resource[Any], dict[str, Any], list[str]]] = [
    (RESOURCE_CLAIMS, claim(exactly()), []),
    (
        RESOURCE_CLAIMS,
        claim({"name": "r"}),
        ["spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"],
    ),
    (
        RESOURCE_CLAIMS,
        claim({"name": "r", "exactly": {}}),
        ["spec.devices.requests[0].exactly.deviceClassName: Required value"],
    ),
    (
        RESOURCE_CLAIMS,
        claim(exactly(allocationMode="All", count=2), exactly(allocationMode="Some")),
        [
            "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is "
            "'All'",
            'spec.devices.requests[1].exactly.allocationMode: Unsupported value: "Some": supported values: "All", '
            '"ExactCount"',
            'spec.devices.requests[1]: Duplicate value: "r"',
        ],
    ),
    (
        RESOURCE_CLAIMS,
        claim(
            exactly(
                selectors=[
                    {"cel": {"expression": 'device.attributes["d.example.com"].model == "x"'}},
                    {"cel": {"expression": "device.nope"}},
                    {"cel": {"expression": "1 + 1"}},
                ]
            )
        ),
        [
            'spec.devices.requests[0].exactly.selectors[1].cel.expression: Invalid value: "device.nope": compilation '
            "failed: ERROR: <input>:1:7: undefined field 'nope'\n | device.nope\n | ......^",
            'spec.devices.requests[0].exactly.selectors[2].cel.expression: Invalid value: "1 + 1": must evaluate to '
            "bool or the unknown type, not int",
        ],
    ),
    (
        RESOURCE_CLAIMS,
        claim(exactly(selectors=[{}], tolerations=[{"operator": "Exists", "value": "x", "effect": "Foo"}])),
        [
            "spec.devices.requests[0].exactly.selectors[0].cel: Required value",
            'spec.devices.requests[0].exactly.tolerations[0].value: Invalid value: "x": must be empty for operator '
            "`Exists`",
            'spec.devices.requests[0].exactly.tolerations[0].effect: Unsupported value: "Foo": supported values: '
            '"NoExecute", "NoSchedule", "None"',
        ],
    ),
    (
        RESOURCE_CLAIMS,
        claim(
            {"name": "r", "firstAvailable": [{"name": "s", "deviceClassName": "gpu"}]},
            constraints=[{"requests": ["r/s", "q"], "matchAttribute": "numa"}, {}],
            config=[{"requests": ["r"], **OPAQUE}, {}],
        ),
        [
            f'spec.devices.constraints[0].requests[1]: Invalid value: "q": {REFERENCE}',
            'spec.devices.constraints[0].matchAttribute: Invalid value: "numa": must include a domain',
            'spec.devices.constraints[1]: Required value: exactly one of "matchAttribute" or "distinctAttribute" is '
            "required, but multiple fields are set",
            "spec.devices.config[1].opaque: Required value",
        ],
    ),
    (
        RESOURCE_CLAIM_TEMPLATES,
        {"spec": {"metadata": {"name": "x", "labels": {"a": "b"}}, **claim()}},
        ["spec.metadata.name: Forbidden: cannot be set for template metadata"],
    ),
    (
        DEVICE_CLASSES,
        {
            "spec": {
                "selectors": [{"cel": {"expression": "x" * 10241}}],
                "config": [OPAQUE],
                "extendedResourceName": "a",
            }
        },
        [
            "spec.selectors[0].cel.expression: Too long: may not be more than 10240 bytes",
            'spec.extendedResourceName: Invalid value: "a": must be a valid extended resource name',
        ],
    ),
    (RESOURCE_SLICES, offer(device(attributes={"a": {"string": "x"}}, capacity={"m": {"value": "1Gi"}})), []),
    (
        RESOURCE_SLICES,
        {"spec": {"driver": "", "pool": {"name": "", "resourceSliceCount": 0, "generation": -1}}},
        [
            "spec.driver: Required value",
            "spec.pool.name: Required value",
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
            f"spec: Required value: {ONE_SELECTION}",
        ],
    ),
    (
        RESOURCE_SLICES,
        offer(nodeName="n", allNodes=True),
        [f'spec: Invalid value: "{{`nodeName`, `allNodes`}}": {ONE_SELECTION}, but multiple fields are set'],
    ),
    (
        RESOURCE_SLICES,
        offer(
            device(
                attributes={"v": {"version": "1.2"}, "two": {"bool": True, "int": 1}, "none": {}},
                capacity={"m": {"value": "1", "requestPolicy": {"default": "1"}}},
                allNodes=True,
            )
        ),
        [
            'spec.devices[0].attributes[v].version: Invalid value: "1.2": must be a string compatible with semver.org '
            "spec 2.0.0",
            'spec.devices[0].attributes[two]: Invalid value: {"bool":true,"int":1}: exactly one value must be '
            "specified",
            'spec.devices[0].attributes[none]: Invalid value: "": exactly one value must be specified',
            "spec.devices[0].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true",
            "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if "
            "`perDeviceNodeSelection` is set to true in the ResourceSlice spec",
        ],
    ),
    (
        RESOURCE_SLICES,
        offer(
            device(
                allowMultipleAllocations=True,
                capacity={"m": {"value": "4", "requestPolicy": {"default": "3", "validValues": ["2", "1", "5"]}}},
                taints=[{"key": "k", "effect": "Foo"}],
                consumesCounters=[{"counterSet": "c", "counters": {}}],
            )
        ),
        [
            'spec.devices[0].capacity[m].requestPolicy.validValues[1]: Invalid value: "1": values must be sorted in '
            "ascending order",
            'spec.devices[0].capacity[m].requestPolicy.validValues[2]: Invalid value: "5": option is larger than '
            "capacity value: 4",
            'spec.devices[0].capacity[m].requestPolicy.validValues: Invalid value: "3": default value is not valid '
            "according to the requestPolicy",
            'spec.devices[0].taints[0].effect: Unsupported value: "Foo": supported values: "NoExecute", "NoSchedule", '
            '"None"',
            "spec.devices[0].consumesCounters[0].counters: Required value",
        ],
    ),
    (
        RESOURCE_SLICES,
        offer(*({"name": f"d{n}", "taints": [{"key": "k", "effect": "None"}]} for n in range(65))),
        ["spec.devices: Too many: 65: must have at most 64 items"],
    ),
]


@pytest.mark.parametrize(("resource", "doc", "expected"), CASES)
def test_mistakes(resource: Resource[Any], doc: dict[str, Any], expected: list[str]) -> None:
    """Each document has exactly the errors that upstream reports, in its order."""
    assert texts(strategy_for(resource).validate_create(made(resource, doc))) == expected


def test_defaults() -> None:
    """A request that says no more than its class asks for exactly one device; gated attributes are dropped."""
    wanted = made(RESOURCE_CLAIMS, claim(exactly(tolerations=[{"key": "k"}])))["spec"]["devices"]["requests"][0]
    assert wanted["exactly"] == {
        "deviceClassName": "gpu",
        "allocationMode": "ExactCount",
        "count": 1,
        "tolerations": [{"key": "k", "operator": "Equal"}],
    }
    offered = made(RESOURCE_SLICES, offer(device(attributes={"a": {"ints": [1]}})))
    assert offered["spec"]["devices"][0]["attributes"] == {"a": {}}


def test_a_claim_never_changes(change_errors: Any) -> None:
    """The spec of a claim is immutable, and only that is said."""
    errors = change_errors(RESOURCE_CLAIMS, claim(exactly()), claim({"name": "r"}))
    assert len(errors) == 1
    assert errors[0].startswith("spec: Invalid value: ")
    assert errors[0].endswith(": field is immutable")


RESULT = {"request": "r", "driver": "d.example.com", "pool": "p", "device": "d0"}


def status_errors(status: dict[str, Any], before: dict[str, Any] | None = None) -> list[str]:
    stored = made(RESOURCE_CLAIMS, claim(exactly()))
    new, old = {**stored, "status": status}, {**stored, "status": before or {}}
    return texts(strategy_for(RESOURCE_CLAIMS).validate_status_update(new, old))


def test_allocations() -> None:
    """An allocation names requests of the claim, and once made it stays."""
    allocation = {"devices": {"results": [RESULT]}}
    assert status_errors({"allocation": allocation}) == []
    other = {"devices": {"results": [{**RESULT, "request": "q", "shareID": "X"}]}}
    assert status_errors({"allocation": other}) == [
        f'status.allocation.devices.results[0].request: Invalid value: "q": {REFERENCE}',
        'status.allocation.devices.results[0].shareID: Invalid value: "X": uid must be in RFC 4122 normalized form, '
        "`xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters",
    ]
    (changed,) = status_errors({"allocation": other}, {"allocation": allocation})
    assert changed.startswith("status.allocation: Invalid value: ")
    assert status_errors({"reservedFor": [{"resource": "pods", "name": "a", "uid": "1"}]}) == [
        "status.reservedFor: Forbidden: may not be specified when `allocated` is not set"
    ]


def test_device_statuses() -> None:
    """Drivers speak of allocated devices only, and each of them once."""
    allocation = {"devices": {"results": [RESULT]}}
    said = {key: value for key, value in RESULT.items() if key != "request"}
    assert status_errors({"allocation": allocation, "devices": [said]}, {"allocation": allocation}) == []
    wrong = [{**said, "device": "d1", "networkData": {"ips": ["x"]}}, said, said]
    assert status_errors({"allocation": allocation, "devices": wrong}, {"allocation": allocation}) == [
        'status.devices[0]: Invalid value: "d.example.com/p/d1": must be an allocated device in the claim',
        'status.devices[0].networkData.ips[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or '
        "2001:db8::/64)",
        'status.devices[2]: Duplicate value: "d.example.com/p/d0"',
    ]

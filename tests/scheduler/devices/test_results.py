"""What is written into a claim: devices, configuration, and where they can be used."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from minik8s.scheduler.devices.requests import AllocationError
from minik8s.scheduler.devices.results import allocation_result
from tests.scheduler.devices.builders import DRIVER, claim, device, either, offer, request, search

TWO = [offer(device("a"), device("b"))]
ZONE = {"key": "zone", "operator": "In", "values": ["a"]}
IN_ZONE = {"nodeSelectorTerms": [{"matchExpressions": [ZONE]}]}
DISK = {"key": "disk", "operator": "Exists"}


def written(slices: Any, wanted: Any, **world: Any) -> Any:
    """The AllocationResult of the one claim."""
    [read], found = search(slices, wanted, **world)
    assert found is not None
    numbers = count(1)
    return allocation_result(read, found[0], world.get("node", "n"), lambda: f"share-{next(numbers)}")


def says(text: str) -> Any:
    return {"opaque": {"driver": DRIVER, "parameters": {"say": text}}}


def test_devices() -> None:
    """Which device for which request, and on that node only, for devices of a node."""
    assert written(TWO, claim(request("x"), request("y"))) == {
        "devices": {
            "results": [
                {"request": "x", "driver": DRIVER, "pool": "n", "device": "a"},
                {"request": "y", "driver": DRIVER, "pool": "n", "device": "b"},
            ]
        },
        "nodeSelector": {
            "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]
        },
    }


def test_all_that_can_be_said_of_a_device() -> None:
    """Admin access, tolerations, conditions, shares: what drivers and the next decision need to know."""
    tolerations = [{"operator": "Exists"}]
    slices = [
        offer(
            device(
                "a", allowMultipleAllocations=True, capacity={"memory": "4Gi"},
                bindingConditions=["Ready"], bindingFailureConditions=["Broken"],
            )
        )
    ]  # fmt: skip
    wanted = claim(request(tolerations=tolerations, capacity={"requests": {"memory": "1024Mi"}}))
    [result] = written(slices, wanted)["devices"]["results"]
    assert result == {
        "request": "r", "driver": DRIVER, "pool": "n", "device": "a", "tolerations": tolerations,
        "bindingConditions": ["Ready"], "bindingFailureConditions": ["Broken"], "shareID": "share-1",
        "consumedCapacity": {"memory": "1Gi"},
    }  # fmt: skip
    [result] = written(TWO, claim(request(adminAccess=True)))["devices"]["results"]
    assert result["adminAccess"] is True


def test_alternatives_are_named() -> None:
    """A result of an alternative carries both names."""
    results = written(TWO, claim(either("r", ("big", {"count": 3}), ("small", {}))))["devices"]["results"]
    assert [result["request"] for result in results] == ["r/small"]


@pytest.mark.parametrize(
    ("slices", "term"),
    [
        ([offer(device("a"), device("b"), pool="p", allNodes=True)], None),
        (
            [offer(device("a"), device("b"), pool="p", nodeSelector=IN_ZONE)],
            {"matchExpressions": [ZONE]},
        ),
        (
            [
                offer(
                    device("a", nodeSelector={"nodeSelectorTerms": [{"matchExpressions": [ZONE, DISK]}]}),
                    device("b", nodeSelector={"nodeSelectorTerms": [{"matchExpressions": [ZONE]}]}),
                    pool="p", perDeviceNodeSelection=True,
                )
            ],
            {"matchExpressions": [ZONE, DISK]},
        ),
        (
            [offer(device("a"), device("b", bindsToNode=True), pool="p", allNodes=True)],
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]},
        ),
    ],
)  # fmt: skip
def test_where_devices_can_be_used(slices: Any, term: Any) -> None:
    """What the devices' node selectors demand together; one node as soon as one device is local, or binds to it."""
    allocation = written(slices, claim(request(count=2)), labels={"zone": "a", "disk": "x"})
    assert allocation.get("nodeSelector") == (term and {"nodeSelectorTerms": [term]})


def test_a_node_selector_with_alternatives() -> None:
    """No API server would have let such a slice in; it is refused rather than misread."""
    terms = {"nodeSelectorTerms": [{"matchExpressions": [ZONE]}, {"matchExpressions": [DISK]}]}
    with pytest.raises(AllocationError, match=r"unsupported ResourceSlice.NodeSelector with 2 terms"):
        written([offer(device("a"), pool="p", nodeSelector=terms)], claim(request()), labels={"zone": "a"})


def test_configuration() -> None:
    """A class speaks once for all its requests, a claim for the requests that it names, and "all" needs no names."""
    classes = {"own": {"metadata": {"name": "own"}, "spec": {"config": [says("class")]}}}
    asked = [request("x"), request("y", deviceClassName="own")]
    config = [{"requests": ["x"], **says("x")}, says("all"), {"requests": ["x", "y"], **says("both")}]
    assert written(TWO, claim(*asked, config=config), classes=classes)["devices"]["config"] == [
        {"source": "FromClass", "requests": ["y"], **says("class")},
        {"source": "FromClaim", "requests": ["x"], **says("x")},
        {"source": "FromClaim", **says("all")},
        {"source": "FromClaim", **says("both")},
    ]
    both = [request("x", deviceClassName="own"), request("y", deviceClassName="own")]
    assert written(TWO, claim(*both), classes=classes)["devices"]["config"] == [
        {"source": "FromClass", **says("class")}
    ]


def test_configuration_of_alternatives() -> None:
    """Only what is said of the alternative that was taken, or of the request as a whole."""
    config = [
        {"requests": ["r/big"], **says("big")}, {"requests": ["r/small"], **says("small")},
        {"requests": ["r"], **says("r")},
    ]  # fmt: skip
    asked = [either("r", ("big", {"count": 3}), ("small", {})), request("s")]
    found = written(TWO, claim(*asked, config=config))["devices"]["config"]
    assert [each["opaque"]["parameters"]["say"] for each in found] == ["small", "r"]

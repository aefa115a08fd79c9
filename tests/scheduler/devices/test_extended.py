"""Extended resources as devices: which requests a pod's containers make, and what a node leaves of them."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.scheduler.devices.extended import IN_MEMORY, ExtendedResources, Unfit, requests_of, stands_for

GPU, NIC = "a.io/gpu", "a.io/nic"
CLASSES: Any = {
    "gpus": {"metadata": {"name": "gpus"}, "spec": {"extendedResourceName": GPU}},
    "nics": {"metadata": {"name": "nics"}, "spec": {"extendedResourceName": NIC}},
}


def class_for(resource: str) -> Any:
    return next((each for each in CLASSES.values() if stands_for(each, resource)), None)


def container(name: str, sidecar: bool = False, **requests: str) -> Any:
    """`gpu` and `nic` stand for the resources."""
    named = {{"gpu": GPU, "nic": NIC}.get(key, key): amount for key, amount in requests.items()}
    policy = {"restartPolicy": "Always"} if sidecar else {}
    return {"name": name, "resources": {"requests": named}, **policy}


@pytest.mark.parametrize(
    ("first", "containers", "requests", "mappings"),
    [
        ([], [container("c", cpu="1", gpu="2")], "container-0-request-0 gpus 2", "c gpu container-0-request-0"),
        ([], [container("c", gpu="0"), container("d", cpu="1")], "", ""),
        (
            [],
            [container("c", nic="1", gpu="1", memory="1Gi"), container("d", nic="3")],
            "container-0-request-0 gpus 1, container-0-request-1 nics 1, container-1-request-0 nics 3",
            "c gpu container-0-request-0, c nic container-0-request-1, d nic container-1-request-0",
        ),
        # what an init container has used is used again
        (
            [container("i", gpu="2")],
            [container("c", gpu="2")],
            "container-1-request-0 gpus 2",
            "c gpu container-1-request-0, i gpu container-1-request-0",
        ),
        (
            [container("i", gpu="3")],
            [container("c", gpu="1"), container("d", gpu="1")],
            "container-0-request-0 gpus 1, container-1-request-0 gpus 1, container-2-request-0 gpus 1",
            "c gpu container-1-request-0, d gpu container-2-request-0, i gpu container-1-request-0, "
            "i gpu container-2-request-0, i gpu container-0-request-0",
        ),
        # of several that need more, the one that needs most counts
        (
            [container("i", gpu="1"), container("j", gpu="4")],
            [container("c")],
            "container-1-request-0 gpus 4",
            "i gpu container-1-request-0, j gpu container-1-request-0",
        ),
        # a sidecar runs beside those that come after it, and may use what those before it have used
        (
            [container("i", gpu="1"), container("s", sidecar=True, gpu="1"), container("j", gpu="1")],
            [container("c")],
            "container-1-request-0 gpus 1, container-2-request-0 gpus 1",
            "s gpu container-1-request-0, i gpu container-1-request-0, j gpu container-2-request-0",
        ),
    ],
)
def test_requests(first: Any, containers: Any, requests: str, mappings: str) -> None:
    """Named by container and by the resource's place among all that the container asks for; amounts are devices."""
    found, used = requests_of({"initContainers": first, "containers": containers}, [GPU, NIC], class_for)
    said = [(each["name"], each["exactly"]["deviceClassName"], str(each["exactly"]["count"])) for each in found]
    assert ", ".join(map(" ".join, said)) == requests
    short = [(m["containerName"], m["resourceName"].split("/")[1], m["requestName"]) for m in used]
    assert ", ".join(map(" ".join, short)) == mappings


def pod() -> Any:
    spec = {"containers": [container("c", cpu="1", gpu="2", nic="1")]}
    return {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": spec}


ASKED = [(GPU, 2), (NIC, 1), ("ephemeral-storage", 5)]


@pytest.mark.parametrize(
    ("allocatable", "names"),
    [
        ({}, ["container-0-request-0", "container-0-request-1"]),
        ({GPU: 8}, ["container-0-request-1"]),
        ({GPU: 0, NIC: 1}, ["container-0-request-0"]),
        ({GPU: 1, NIC: 1}, None),
    ],
)
def test_what_a_node_has_itself(allocatable: dict[str, int], names: list[str] | None) -> None:
    """It is no matter of devices, whether it is enough or not."""
    found = ExtendedResources(pod(), ASKED, None, "made-up").on(allocatable, class_for, CLASSES.get)
    assert (found and [each["name"] for each in found.claim["spec"]["devices"]["requests"]]) == names


def test_what_nobody_has() -> None:
    """Neither the node nor a class: the pod does not fit."""
    extended = ExtendedResources(pod(), [*ASKED, ("a.io/unknown", 1)], None, "made-up")
    with pytest.raises(Unfit, match="cannot fit resource"):
        extended.on({}, class_for, CLASSES.get)
    assert extended.on({"a.io/unknown": 0, GPU: 1, NIC: 1}, class_for, CLASSES.get) is None


def test_the_claim() -> None:
    """It is the pod's, marked, and has no name that could be taken; nodes alike share it."""
    extended = ExtendedResources(pod(), ASKED, None, "made-up")
    found = extended.on({}, class_for, CLASSES.get)
    assert found is not None
    assert extended.on({"cpu": 3}, class_for, CLASSES.get) is found
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}
    assert found.claim["metadata"] == {
        "name": IN_MEMORY,
        "generateName": "p-extended-resources-",
        "namespace": "ns",
        "uid": "made-up",
        "annotations": {"resource.kubernetes.io/extended-resource-claim": "true"},
        "ownerReferences": [owner],
    }

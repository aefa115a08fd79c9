"""pods/resize and pods/ephemeralcontainers: each writes its part of a pod and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.request import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH

pytestmark = pytest.mark.anyio

DEBUGGER = {"name": "debug", "image": "busybox"}


def container(name: str = "c", **resources: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "resources": resources}


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}}


def resizing(name: str = "c", **resources: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name, "resources": resources}]}}


async def test_resize_changes_resources_only(server: Any) -> None:
    """A resize takes cpu and memory; whatever else its body says is as if it had not been said."""
    created = await server.ok("POST", "pods", pod(container(requests={"cpu": "1", "memory": "1Gi"})))
    patch = {**resizing(requests={"cpu": "2"}), "metadata": {"labels": {"a": "b"}}}
    patch["spec"]["containers"][0]["image"] = "other"
    patch["spec"]["nodeName"] = "n"
    resized = await server.ok("PATCH", "pods/p/resize", patch, type=STRATEGIC_PATCH)
    expected = dict(created["spec"]["containers"][0], resources={"requests": {"cpu": "2", "memory": "1Gi"}})
    assert resized["spec"] == {**created["spec"], "containers": [expected]}
    assert "labels" not in resized["metadata"]
    assert (created["metadata"]["generation"], resized["metadata"]["generation"]) == (1, 2)
    assert await server.ok("GET", "pods/p/resize") == resized
    assert await server.ok("PUT", "pods/p/resize", resized) == resized


async def test_resources_are_fixed_elsewhere(server: Any) -> None:
    """The pod itself cannot be updated with other resources."""
    await server.ok("POST", "pods", pod(container(requests={"cpu": "1"})))
    response = await server.call("PATCH", "pods/p", resizing(requests={"cpu": "2"}), type=STRATEGIC_PATCH)
    assert response.status_code == 422
    assert "pod updates may not change fields other than" in response.text


@pytest.mark.parametrize(
    ("before", "patch", "field", "message"),
    [
        (
            pod(container(requests={"cpu": "1"})),
            resizing(limits={"cpu": "1", "memory": "1Gi"}, requests={"memory": "1Gi"}),
            "spec",
            'Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
        ),
        (
            pod(container(requests={"cpu": "1", "memory": "1Gi"})),
            resizing(requests={"cpu": None}),
            "spec.containers[0].resources.requests",
            "Forbidden: resource requests cannot be removed",
        ),
        (
            pod(container(requests={"cpu": "1", "ephemeral-storage": "1Gi"})),
            resizing(requests={"ephemeral-storage": "2Gi"}),
            "spec",
            "Forbidden: only cpu and memory resources are mutable",
        ),
        (
            pod(container(requests={"cpu": "1"}, limits={"cpu": "2"})),
            resizing(requests={"cpu": "3"}),
            "spec.containers[0].resources.requests",
            'Invalid value: "3": must be less than or equal to cpu limit of 2',
        ),
        (
            pod(container(), initContainers=[container("i", requests={"cpu": "1"})]),
            {"spec": {"initContainers": [{"name": "i", "resources": {"requests": {"cpu": "2"}}}]}},
            "spec",
            "Forbidden: resources for non-sidecar init containers are immutable",
        ),
    ],
)
async def test_refused_resizes(server: Any, before: Any, patch: Any, field: str, message: str) -> None:
    """Resources stay, the class stays, and only cpu and memory of what keeps running can change."""
    await server.ok("POST", "pods", before)
    details = await server.refused(
        "PATCH", "pods/p/resize", 422, "Invalid", f'Pod "p" is invalid: {field}: {message}', patch, type=STRATEGIC_PATCH
    )
    assert {"reason": details["causes"][0]["reason"], "message": message, "field": field} == details["causes"][0]


async def test_a_node_without_resize(server: Any) -> None:
    """A running container whose node does not say what it has cannot be resized."""
    await server.ok("POST", "pods", pod(container(requests={"cpu": "1"})))
    running = {"containerStatuses": [{"name": "c", "state": {"running": {}}}]}
    await server.ok("PATCH", "pods/p/status", {"status": running}, type=MERGE_PATCH)
    response = await server.call("PATCH", "pods/p/resize", resizing(requests={"cpu": "2"}), type=STRATEGIC_PATCH)
    assert "spec: Forbidden: Pod running on node without support for resize" in response.text


async def test_static_pods_are_the_nodes(server: Any) -> None:
    """A mirror of a static pod is not resized through the API."""
    static = pod(container(requests={"cpu": "1"}))
    static["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    static["spec"]["nodeName"] = "n"
    await server.ok("POST", "pods", static)
    response = await server.call("PATCH", "pods/p/resize", resizing(requests={"cpu": "2"}), type=STRATEGIC_PATCH)
    assert response.status_code == 422
    assert "is invalid: []: Forbidden: static pods cannot be resized" in response.text


async def test_ephemeral_containers_are_only_added(server: Any) -> None:
    """They come by their subresource, and then neither change nor go."""
    await server.ok("POST", "pods", pod(container()))
    path, add = "pods/p/ephemeralcontainers", {"spec": {"ephemeralContainers": [DEBUGGER]}}
    added = await server.ok("PATCH", path, add, type=STRATEGIC_PATCH)
    (debugger,) = added["spec"]["ephemeralContainers"]
    assert debugger == {
        **DEBUGGER,
        "imagePullPolicy": "Always",
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    assert added["metadata"]["generation"] == 2
    for patch, verb in (
        ([{"op": "remove", "path": "/spec/ephemeralContainers"}], "removed"),
        ([{"op": "replace", "path": "/spec/ephemeralContainers/0/image", "value": "x"}], "changed"),
    ):
        message = f'existing ephemeral containers "debug" may not be {verb}\n'
        await server.refused(
            "PATCH", path, 422, "Invalid", f'Pod "p" is invalid: spec.ephemeralContainers: Forbidden: {message}',
            patch, type=JSON_PATCH,
        )  # fmt: skip
    wrong = {"name": "two", "image": "i", "ports": [{"containerPort": 80}], "targetContainerName": "nope"}
    response = await server.call("PATCH", path, {"spec": {"ephemeralContainers": [wrong]}}, type=STRATEGIC_PATCH)
    causes = [f"{c['field']}: {c['message']}" for c in response.json()["details"]["causes"]]
    assert causes == [
        'spec.ephemeralContainers[0].targetContainerName: Not found: "nope"',
        "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
    ]

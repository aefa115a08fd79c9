"""Updates in process that hand back parts of what is stored: they are neither read again nor changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from minik8s.api.resources import HORIZONTAL_POD_AUTOSCALERS, NODES, PODS
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import evolve

pytestmark = pytest.mark.anyio

POD: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "default", "labels": {"a": "1"}},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}


async def test_a_status_shares_all_the_rest(server: Any) -> None:
    """By update and by patch: what is stored next has the spec of what was stored before, which is as it was."""
    pod = await server.client.create(PODS, POD)
    before = copy.deepcopy(dict(pod))
    first = await server.client.update_status(PODS, evolve(pod, "status", "message", value="one"))
    second = await server.client.patch(
        PODS, "web", {"status": {"message": "two"}}, namespace="default", type="strategic", subresource="status"
    )
    assert (first["status"]["message"], second["status"]["message"]) == ("one", "two")
    assert first["spec"] == second["spec"] == pod["spec"]
    assert list(second) == ["kind", "apiVersion", "metadata", "spec", "status"]
    assert pod == before
    managers = [(entry["manager"], entry.get("subresource", "")) for entry in second["metadata"]["managedFields"]]
    assert managers == [("minik8s", ""), ("minik8s", "status")]


async def test_what_is_not_shared_is_read(server: Any) -> None:
    """A spec that cannot be one is refused also where it would not be written."""
    pod = await server.client.create(PODS, POD)
    broken = {**evolve(pod, "status", "message", value="x"), "spec": {"containers": "none"}}
    with pytest.raises(BadRequest, match="cannot unmarshal string"):
        await server.client.update_status(PODS, broken)


async def test_metadata_that_is_handed_back(server: Any) -> None:
    """An update of the spec with the stored metadata counts generations, and tracks who wrote what."""
    pod = await server.client.create(PODS, POD)
    changed = await server.client.update(PODS, evolve(pod, "spec", "activeDeadlineSeconds", value=60))
    assert changed["metadata"]["generation"] == 2
    assert changed["metadata"]["labels"] == {"a": "1"}
    assert pod["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("resource", "obj", "status", "defaulted"),
    [
        (NODES, {"metadata": {"name": "n"}}, {"capacity": {"cpu": "1"}}, {"allocatable": {"cpu": "1"}}),
        (
            HORIZONTAL_POD_AUTOSCALERS,
            {
                "metadata": {"name": "h", "namespace": "default"},
                "spec": {
                    "maxReplicas": 3,
                    "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
                },
            },
            {"desiredReplicas": 2},
            {"currentMetrics": None},
        ),
    ],
)
async def test_defaults_of_a_status(server: Any, resource: Any, obj: Any, status: Any, defaulted: Any) -> None:
    """Kinds whose status has defaults get them by /status too, in a document of its own."""
    stored = await server.client.create(resource, obj)
    written = await server.client.update_status(resource, {**stored, "status": status})
    assert {key: written["status"][key] for key in defaulted} == defaulted

"""ResourceClaims of pods: made from templates, held while a pod may run, and cleaned up behind it."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resourceclaims import FINALIZER
from minik8s.api.resources import PODS, RESOURCE_CLAIMS
from minik8s.client.events import times_seen
from minik8s.controllers import resourceclaim_plan as plan
from minik8s.controllers.resourceclaim import ResourceClaimController

DEVICES = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}
TEMPLATE = {"metadata": {"labels": {"team": "a"}, "annotations": {"x": "y"}}, "spec": DEVICES}
FROM_TEMPLATE = [{"name": "gpu", "resourceClaimTemplateName": "gpus"}]


def pod(claims: Any = FROM_TEMPLATE, name: str = "p", node: str = "", **status: Any) -> Any:
    spec = {"resourceClaims": claims, **({"nodeName": node} if node else {})}
    metadata = {"name": name, "namespace": "default", "uid": "u"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


@pytest.mark.parametrize(("name", "base"), [("p", "p-gpu-"), ("x" * 60, "x" * 52 + "-gp")])
def test_claims_from_templates(name: str, base: str) -> None:
    """The template's metadata and spec, the pod as owner, and a name that leaves room for its end."""
    claim = plan.claim_from(pod(name=name), FROM_TEMPLATE[0], {"spec": TEMPLATE})
    metadata = claim["metadata"]
    assert metadata["generateName"] == base
    assert metadata["annotations"] == {"x": "y", "resource.kubernetes.io/pod-claim-name": "gpu"}
    assert metadata["labels"] == {"team": "a"}
    assert metadata["ownerReferences"][0]["controller"]
    assert claim["spec"] == DEVICES


@pytest.mark.parametrize(
    ("status", "claims", "wanted"),
    [
        ({}, {}, True),
        ({"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "c"}]}, {}, True),
        ({"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "c"}]}, {"c": "u"}, False),
        ({"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "c"}]}, {"c": "other"}, True),
        ({"resourceClaimStatuses": [{"name": "gpu"}]}, {}, False),
    ],
)
def test_whether_a_claim_is_wanted(status: Any, claims: dict[str, str], wanted: bool) -> None:
    """Until the pod's status names one that is its own, or says that none is needed."""
    owned = {n: {"metadata": {"ownerReferences": [{"uid": uid, "controller": True}]}} for n, uid in claims.items()}
    assert plan.wants_claim(pod(**status), FROM_TEMPLATE[0], owned) == wanted


@pytest.mark.parametrize(
    ("node", "allocation", "holders", "needs"),
    [
        ("n", {}, [], False),
        ("", {"devices": {}}, [], False),
        ("n", {"devices": {}}, [], True),
        ("n", {"devices": {}}, [{"uid": "u"}], False),
        ("n", {"devices": {}}, [{"uid": str(i)} for i in range(256)], False),
    ],
)
def test_reservations(node: str, allocation: Any, holders: list[Any], needs: bool) -> None:
    """Who was bound by hand is entered into an allocated claim that still has room."""
    assert (
        plan.needs_reservation(pod(node=node), {"status": {"allocation": allocation, "reservedFor": holders}}) == needs
    )


def test_a_life(virtual: Any, start: Any) -> None:
    """The claim is made when there is a template, named in the pod, kept while held, and goes when the pod is done."""

    async def body(clock: Any) -> None:
        async with start(clock, ResourceClaimController) as world:
            spec = {"containers": [{"name": "c", "image": "x"}], "resourceClaims": FROM_TEMPLATE, "nodeName": "n"}
            await world.add("pods", "p", "default", spec=spec)
            await world.quiet()
            [said, *_] = await world.events("FailedResourceClaimCreation")
            assert times_seen(said) == 10  # at 0, 5, 15, 35, ... ms
            text = 'resource claim template "gpus": resourceclaimtemplate.resource.k8s.io "gpus" not found'
            assert said["message"] == f"PodResourceClaim gpu: {text}"
            await world.add("resourceclaimtemplates", "gpus", "default", spec=TEMPLATE)

            async def claims() -> list[Any]:
                return (await world.client.list(RESOURCE_CLAIMS, namespace="default")).items

            [claim] = await world.until(claims, 600)
            await world.quiet()
            user = await world.get("pods", "p", "default")
            name = claim["metadata"]["name"]
            assert user["status"]["resourceClaimStatuses"] == [{"name": "gpu", "resourceClaimName": name}]

            metadata = claim["metadata"] | {"finalizers": [FINALIZER]}
            claim = await world.client.update(RESOURCE_CLAIMS, {**claim, "metadata": metadata})
            device = {"request": "r", "driver": "d.example.com", "pool": "p", "device": "gpu-0"}
            allocated = {"allocation": {"devices": {"results": [device]}}}
            await world.client.update_status(RESOURCE_CLAIMS, {**claim, "status": allocated})
            await world.quiet()
            [claim] = await claims()
            [holder] = claim["status"]["reservedFor"]
            assert (holder["resource"], holder["name"], holder["uid"]) == ("pods", "p", user["metadata"]["uid"])

            await world.client.patch(
                PODS, "p", {"status": {"phase": "Succeeded"}}, namespace="default", subresource="status"
            )
            await world.quiet()
            assert await claims() == []

    virtual(body)

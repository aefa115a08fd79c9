"""CSI volumes are attached where pods use them: what is made, what is waited for, and what is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.api.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PODS, VOLUME_ATTACHMENTS
from minik8s.controllers import attachdetach_plan as plan
from minik8s.controllers.attachdetach import AttachDetachController

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
DRIVER, HANDLE = "disk.example.com", "vol-1"
NAME = plan.attachment_name(HANDLE, DRIVER, "n1")
UNIQUE = f"kubernetes.io/csi/{DRIVER}^{HANDLE}"


def stamp(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(*, ready: bool = True, since: float = 0, taint: str = "", **status: Any) -> Any:
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": stamp(since)}
    spec = {"taints": [{"key": taint, "effect": "NoExecute"}]} if taint else {}
    return {"metadata": {"name": "n1"}, "spec": spec, "status": {"conditions": [condition], **status}}


def attachment(age: float = 0, where: str = "n1", name: str = NAME, going: bool = False, **status: Any) -> Any:
    metadata = {"name": name, "creationTimestamp": stamp(age)} | ({"deletionTimestamp": stamp(0)} if going else {})
    spec = {"attacher": DRIVER, "nodeName": where, "source": {"persistentVolumeName": "pv"}}
    return {"metadata": metadata, "spec": spec, "status": status}


def wanted(exclusive: bool = True) -> Any:
    return plan.Wanted("pv", DRIVER, HANDLE, "n1", exclusive, ({"metadata": {"name": "p"}},))


def planned(where: Any, volumes: Any, attachments: Any, others: Any = ()) -> plan.AttachPlan:
    named = {a["metadata"]["name"]: a for a in attachments}
    handles = {"pv": (DRIVER, HANDLE)}
    return plan.plan_node(where, volumes, named, lambda _: [*attachments, *others], handles.get, NOW)


def test_attaching() -> None:
    """An attachment by upstream's name; one that may be on one node only waits for the other to let go."""
    todo = planned(node(), [wanted()], [])
    [made] = todo.attach
    assert made["metadata"]["name"].startswith("csi-")
    assert made["spec"] == {"attacher": DRIVER, "nodeName": "n1", "source": {"persistentVolumeName": "pv"}}
    elsewhere = attachment(where="n2", name="other")
    assert planned(node(), [wanted(exclusive=False)], [], [elsewhere]).attach
    blocked = planned(node(), [wanted()], [], [elsewhere])
    assert blocked.attach == []
    assert blocked.events[0][2:] == (
        "FailedAttachVolume",
        'Multi-Attach error for volume "pv" Volume is already exclusively attached to one node '
        "and can't be attached to another",
    )


@pytest.mark.parametrize(
    ("present", "known", "attached", "says"),
    [
        (attachment(10), (), False, ""),
        (attachment(10, attached=True), (), True, 'AttachVolume.Attach succeeded for volume "pv" '),
        (attachment(10, attached=True), (UNIQUE,), True, ""),
        (attachment(10, attachError={"message": "no room"}), (), False, 'failed for volume "pv" : no room'),
        (attachment(10, going=True), (), False, "volume attachment is being deleted"),
        (
            attachment(130),
            (),
            False,
            f"timed out waiting for external-attacher of {DRIVER} CSI driver to attach volume {HANDLE}",
        ),
    ],
)
def test_following(present: Any, known: Any, attached: bool, says: str) -> None:
    """The node's status names what is attached; pods hear of success once and of failure each time."""
    before = [{"name": name, "devicePath": ""} for name in known]
    todo = planned(node(volumesAttached=before), [wanted()], [present])
    assert todo.attached == ([{"name": UNIQUE, "devicePath": ""}] if attached else [])
    assert (todo.attach, todo.detach) == ([], [])
    assert says in (todo.events[0][3] if todo.events else "")
    assert bool(todo.events) == bool(says)


@pytest.mark.parametrize(
    ("where", "present", "gone", "recheck"),
    [
        (node(), attachment(attached=True), True, None),
        (node(volumesInUse=[UNIQUE]), attachment(attached=True), False, None),
        (node(volumesInUse=[UNIQUE], ready=False, since=60), attachment(attached=True), False, 300),
        (node(volumesInUse=[UNIQUE], ready=False, since=400), attachment(attached=True), True, None),
        (node(volumesInUse=[UNIQUE], taint=plan.OUT_OF_SERVICE), attachment(attached=True), True, None),
        (node(), attachment(going=True), False, None),
        (node(), attachment(name="by-hand"), False, None),
    ],
)
def test_detaching(where: Any, present: Any, gone: bool, recheck: float | None) -> None:
    """Not while the node has it mounted, unless that is not well for long; and never what others made."""
    todo = planned(where, [], [present])
    assert bool(todo.detach) == gone
    assert todo.recheck == recheck


@pytest.mark.parametrize(
    ("status", "going", "uses"),
    [
        ({"phase": "Pending"}, False, True),
        ({"phase": "Succeeded"}, False, False),
        ({"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}, True, True),
        ({"phase": "Running", "containerStatuses": [{"state": {"terminated": {}}}]}, True, False),
    ],
)
def test_who_uses_a_volume(status: Any, going: bool, uses: bool) -> None:
    """A pod keeps its volumes until nothing of it runs."""
    metadata = {"name": "p", **({"deletionTimestamp": stamp(0)} if going else {})}
    assert plan.is_user({"metadata": metadata, "spec": {"nodeName": "n1"}, "status": status}) == uses


def test_a_life(virtual: Any, start: Any) -> None:
    """Attached for a pod on a node, named in the node's status, and detached when the pod is gone."""

    async def body(clock: Any) -> None:
        async with start(clock, AttachDetachController) as world:
            annotations = {plan.MANAGED: "true"}
            await world.add("nodes", "n1", metadata={"annotations": annotations})
            csi = {"driver": DRIVER, "volumeHandle": HANDLE}
            common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
            reference = {"namespace": "default", "name": "data"}
            volume = {**common, "capacity": {"storage": "1Gi"}, "csi": csi, "claimRef": reference}
            await world.quiet()
            assert world.manager.controllers == []
            await world.add("persistentvolumes", "pv", spec=volume)
            claim = {**common, "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "pv"}
            await world.add("persistentvolumeclaims", "data", "default", spec=claim)
            source = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
            spec = {"containers": [{"name": "c", "image": "x"}], "volumes": [source], "nodeName": "n1"}
            await world.add("pods", "p", "default", spec=spec)
            by_hand = {"attacher": DRIVER, "nodeName": "gone", "source": {"persistentVolumeName": "pv"}}
            await world.add("volumeattachments", "by-hand", spec={**by_hand, "nodeName": "n9"})
            await world.quiet()
            assert await world.get("volumeattachments", NAME) is None  # not bound
            await world.client.delete(VOLUME_ATTACHMENTS, "by-hand")
            bound = {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}}
            await world.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", bound, namespace="default")
            await world.until_there("volumeattachments", NAME)
            await world.quiet(125)
            assert "timed out waiting for external-attacher" in (await world.events("FailedAttachVolume"))[0]["message"]
            attached = {"status": {"attached": True}}
            await world.client.patch(VOLUME_ATTACHMENTS, NAME, attached, subresource="status")
            await world.quiet()
            status = (await world.get("nodes", "n1"))["status"]
            assert status["volumesAttached"] == [{"name": UNIQUE, "devicePath": ""}]
            assert len(await world.events("SuccessfulAttachVolume")) == 1
            used = {"status": {"volumesInUse": [UNIQUE]}}
            await world.client.patch(NODES, "n1", {**used}, subresource="status")
            ready = {"type": "Ready", "status": "True"}
            await world.client.patch(NODES, "n1", {"status": {"conditions": [ready]}}, subresource="status")
            await world.client.delete(PODS, "p", namespace="default", grace_period=0)
            await world.quiet()
            assert await world.get("volumeattachments", NAME) is not None
            await world.client.patch(NODES, "n1", {"status": {"volumesInUse": None}}, subresource="status")
            await world.until_gone("volumeattachments", NAME)
            assert "volumesAttached" not in (await world.get("nodes", "n1"))["status"]

    virtual(body)

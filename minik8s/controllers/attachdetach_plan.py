"""Which volumes are to be attached to a node and which to be detached, decided without I/O.

Only CSI volumes are ever attached: by a VolumeAttachment, which the driver's external-attacher acts upon. Names, texts
and times are upstream's (`pkg/controller/volume/attachdetach`, `pkg/volume/csi/csi_attacher.go`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from minik8s.api.pods import is_terminal
from minik8s.api.volumes import ClaimKey, claims_of, is_bound
from minik8s.machinery.meta import (
    Doc,
    Obj,
    annotations_of,
    is_condition_true,
    is_terminating,
    name_of,
    namespace_of,
    parse_time,
)

MANAGED = "volumes.kubernetes.io/controller-managed-attach-detach"
"""By this annotation a kubelet leaves attaching to the controller."""
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
TIMEOUT = 120.0
"""Seconds for an external-attacher to attach, after which the pods hear of it (csiTimeout)."""
UNMOUNT_TIMEOUT = 360.0
"""Seconds that a node which is not well may keep a volume mounted (--attach-detach-reconcile-max-wait-unmount)."""


@attrs.frozen
class Wanted:
    """A volume that pods of a node use."""

    volume: str
    driver: str
    handle: str
    node: str
    exclusive: bool
    pods: tuple[Doc, ...]

    @property
    def attachment(self) -> str:
        return attachment_name(self.handle, self.driver, self.node)

    @property
    def unique_name(self) -> str:
        return unique_name(self.driver, self.handle)


@attrs.define
class AttachPlan:
    """What to do for one node.

    attach, detach  VolumeAttachments to create and to delete
    attached        status.volumesAttached as it should be
    events          (pod, type, reason, message)
    recheck         seconds after which to look again, None for not before something changes
    """

    attach: list[Obj] = attrs.field(factory=list)
    detach: list[Doc] = attrs.field(factory=list)
    attached: list[Obj] = attrs.field(factory=list)
    events: list[tuple[Doc, Any, str, str]] = attrs.field(factory=list)
    recheck: float | None = None

    def look_again(self, seconds: float) -> None:
        self.recheck = seconds if self.recheck is None else min(self.recheck, seconds)


def attachment_name(handle: str, driver: str, node: str) -> str:
    return f"csi-{hashlib.sha256(f'{handle}{driver}{node}'.encode()).hexdigest()}"


def unique_name(driver: str, handle: str) -> str:
    return f"kubernetes.io/csi/{driver}^{handle}"


def is_user(pod: Doc) -> bool:
    """Whether a pod keeps its volumes on its node: until nothing of it runs any more."""
    if not pod["spec"].get("nodeName") or is_terminal(pod):
        return False
    status = pod.get("status") or {}
    running = [c for c in status.get("containerStatuses") or () if "running" in (c.get("state") or {})]
    return not is_terminating(pod) or bool(running)


def by_node(pod: Doc) -> tuple[str, ...]:
    """An index of the pods whose claims may have to be attached."""
    return (pod["spec"]["nodeName"],) if is_user(pod) and next(claims_of(pod), None) else ()


def by_claim(pod: Doc) -> tuple[str, ...]:
    """An index of pods by the claims that they use: `namespace/name`."""
    return tuple("/".join(key) for key in claims_of(pod))


def csi_of(volume: Doc) -> Doc | None:
    source: Doc | None = volume["spec"].get("csi")
    return source


def wanted(
    node: str,
    pods: Iterable[Doc],
    claim: Callable[[ClaimKey], Doc | None],
    volume: Callable[[str], Doc | None],
    driver: Callable[[str], Doc | None],
) -> list[Wanted]:
    """The volumes that pods of a node want attached; the functions look up a claim, a volume and a CSIDriver."""
    users: dict[str, list[Doc]] = {}
    found: dict[str, Doc] = {}
    for pod in sorted(pods, key=lambda pod: (namespace_of(pod), name_of(pod))):
        for key in claims_of(pod):
            bound = claim(key)
            if bound is None or not is_bound(bound) or (pv := volume(bound["spec"]["volumeName"])) is None:
                continue
            source = csi_of(pv)
            if source is None or not needs_attaching(driver(source["driver"])):
                continue
            found[name_of(pv)] = pv
            users.setdefault(name_of(pv), []).append(pod)
    return [_wanted(node, pv, tuple(users[name])) for name, pv in sorted(found.items())]


def needs_attaching(driver: Doc | None) -> bool:
    """Whether a driver attaches; one that has not said so is taken to."""
    return driver is None or driver["spec"].get("attachRequired", True) is not False


def _wanted(node: str, pv: Doc, pods: tuple[Doc, ...]) -> Wanted:
    source = pv["spec"]["csi"]
    exclusive = not {"ReadWriteMany", "ReadOnlyMany"} & set(pv["spec"].get("accessModes") or ())
    return Wanted(name_of(pv), source["driver"], source["volumeHandle"], node, exclusive, pods)


def plan_node(
    node: Doc,
    volumes: Sequence[Wanted],
    attachments: Mapping[str, Doc],
    elsewhere: Callable[[str], Iterable[Doc]],
    handle: Handles,
    now: datetime,
) -> AttachPlan:
    """`attachments` are the node's, by name; `elsewhere` gives those of a volume on any node."""
    plan = AttachPlan()
    names = {entry["name"] for entry in (node.get("status") or {}).get("volumesAttached") or ()}
    for volume in volumes:
        present = attachments.get(volume.attachment)
        if present is None:
            _attach(volume, elsewhere(volume.volume), plan)
        else:
            _follow(volume, present, names, plan, now)
    expected = {volume.attachment for volume in volumes}
    for name, attachment in sorted(attachments.items()):
        source = _source(attachment, handle)
        if name in expected or source is None or is_terminating(attachment) or not is_ours(attachment, handle):
            continue
        _detach(node, attachment, unique_name(*source), plan, now)
    return plan


Handles: TypeAlias = Callable[[str], tuple[str, str] | None]
"""The driver and handle of a volume by its name, None for one that is not there or not of a driver."""


def _source(attachment: Doc, handle: Handles) -> tuple[str, str] | None:
    return handle(attachment["spec"]["source"].get("persistentVolumeName") or "")


def is_ours(attachment: Doc, handle: Handles) -> bool:
    """Whether the controller made it, by its name; others make some, too."""
    source = _source(attachment, handle)
    return source is not None and name_of(attachment) == attachment_name(
        source[1], source[0], attachment["spec"]["nodeName"]
    )


def _attach(volume: Wanted, others: Iterable[Doc], plan: AttachPlan) -> None:
    rivals = [other for other in others if other["spec"]["nodeName"] != volume.node]
    if volume.exclusive and rivals:
        text = f'Multi-Attach error for volume "{volume.volume}" Volume is already exclusively attached to one node '
        for pod in volume.pods:
            plan.events.append((pod, "Warning", "FailedAttachVolume", f"{text}and can't be attached to another"))
        plan.look_again(TIMEOUT)
        return
    plan.attach.append(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": {"name": volume.attachment},
            "spec": {
                "attacher": volume.driver,
                "nodeName": volume.node,
                "source": {"persistentVolumeName": volume.volume},
            },
        }
    )
    plan.look_again(TIMEOUT)


def _follow(volume: Wanted, attachment: Doc, names: set[str], plan: AttachPlan, now: datetime) -> None:
    """What has become of an attachment that is wanted."""
    status = attachment.get("status") or {}
    if is_terminating(attachment):  # an earlier one: it is made anew when this one is gone
        _fail(volume, "volume attachment is being deleted", plan)
    elif status.get("attached"):
        plan.attached.append({"name": volume.unique_name, "devicePath": ""})
        if volume.unique_name not in names:
            text = f'AttachVolume.Attach succeeded for volume "{volume.volume}" '
            plan.events += [(pod, "Normal", "SuccessfulAttachVolume", text) for pod in volume.pods]
    elif error := (status.get("attachError") or {}).get("message"):
        _fail(volume, error, plan)
    else:
        left = TIMEOUT - (now - parse_time(attachment["metadata"]["creationTimestamp"])).total_seconds() % TIMEOUT
        began = parse_time(attachment["metadata"]["creationTimestamp"])
        if (now - began).total_seconds() >= TIMEOUT:
            who = f"external-attacher of {volume.driver} CSI driver to attach volume {volume.handle}"
            _fail(volume, f"timed out waiting for {who}", plan, again=left)
        else:
            plan.look_again(left)


def _fail(volume: Wanted, why: str, plan: AttachPlan, again: float = TIMEOUT) -> None:
    text = f'AttachVolume.Attach failed for volume "{volume.volume}" : {why}'
    plan.events += [(pod, "Warning", "FailedAttachVolume", text) for pod in volume.pods]
    plan.look_again(again)


def _detach(node: Doc, attachment: Doc, name: str, plan: AttachPlan, now: datetime) -> None:
    """A volume that nobody wants goes once the node has unmounted it, or is not well and had its time."""
    if name not in ((node.get("status") or {}).get("volumesInUse") or ()) or is_out_of_service(node):
        plan.detach.append(attachment)
        return
    if (attachment.get("status") or {}).get("attached"):
        plan.attached.append({"name": name, "devicePath": ""})
    if (since := unwell_since(node)) is not None:
        left = UNMOUNT_TIMEOUT - (now - since).total_seconds()
        if left <= 0:
            plan.detach.append(attachment)
        else:
            plan.look_again(left)


def is_out_of_service(node: Doc) -> bool:
    return any(taint["key"] == OUT_OF_SERVICE for taint in node["spec"].get("taints") or ())


def unwell_since(node: Doc) -> datetime | None:
    """Since when a node is not Ready; None while it is."""
    if is_condition_true(node, "Ready"):
        return None
    for condition in (node.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Ready" and condition.get("lastTransitionTime"):
            return parse_time(condition["lastTransitionTime"])
    return parse_time(node["metadata"]["creationTimestamp"])


def is_managed(node: Doc) -> bool:
    return annotations_of(node).get(MANAGED) == "true"

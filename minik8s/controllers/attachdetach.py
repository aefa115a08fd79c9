"""Has CSI volumes attached to the nodes whose pods use them, and detached afterwards.

The attaching is done by a driver's external-attacher, which acts upon the VolumeAttachments made here; where there is
none, the pods' events say that nobody attached. Volumes of other kinds need no attaching. Upstream:
`pkg/controller/volume/attachdetach`; what is decided stands in `attachdetach_plan`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import (
    CSI_DRIVERS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
)
from minik8s.client.lister import Key, key_of
from minik8s.controllers import attachdetach_plan as plan
from minik8s.controllers.runtime import Context, Reconciler, Requeue, Watch, mapped
from minik8s.machinery.errors import AlreadyExists, NotFound
from minik8s.machinery.meta import Doc, name_of, revision_of, uid_of

ON_NODE, OF_CLAIM, OF_VOLUME = "attach-node", "attach-claim", "attach-volume"
"""Indexes of pods by node and by claim, of attachments by node and by volume."""


class AttachDetachController(Reconciler[Any]):
    """Keyed by node."""

    name: ClassVar[str] = "attachdetach"
    component: ClassVar[str] = "attachdetach-controller"
    resource: ClassVar[Resource[Any]] = NODES
    watches: ClassVar[tuple[Watch, ...]] = (
        mapped(PODS, "_of_pod"),
        mapped(PERSISTENT_VOLUME_CLAIMS, "_of_claim"),
        mapped(PERSISTENT_VOLUMES, "_of_volume"),
        mapped(VOLUME_ATTACHMENTS, "_of_attachment"),
        mapped(CSI_DRIVERS, "_of_driver"),
    )
    wakes: ClassVar[tuple[Resource[Any], ...]] = (PERSISTENT_VOLUMES, VOLUME_ATTACHMENTS)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        pods, attachments = self.informers(PODS), self.informers(VOLUME_ATTACHMENTS)
        pods.add_index(ON_NODE, plan.by_node)
        pods.add_index(OF_CLAIM, plan.by_claim)
        attachments.add_index(ON_NODE, lambda attachment: (attachment["spec"]["nodeName"],))
        attachments.add_index(OF_VOLUME, _volume_of)
        self._pods, self._attachments = pods.lister, attachments.lister
        self._claims = self.informers(PERSISTENT_VOLUME_CLAIMS).lister
        self._volumes = self.informers(PERSISTENT_VOLUMES).lister
        self._drivers = self.informers(CSI_DRIVERS).lister

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        return obj["kind"] == VOLUME_ATTACHMENTS.kind or plan.csi_of(obj) is not None

    def _on_object(self, old: Doc | None, new: Doc | None) -> None:
        """Nodes report all the time; what matters are the volumes that they hold and whether they are well."""
        if new is not None and (old is None or _relevant(old) != _relevant(new)):
            self.enqueue(new)

    def _of_pod(self, pod: Doc) -> Iterable[Key]:
        return [("", node) for node in plan.by_node(pod)]

    def _of_claim(self, claim: Doc) -> Iterable[Key]:
        pods = self._pods.by_index(OF_CLAIM, "/".join(key_of(claim)))
        return [("", node) for pod in pods for node in plan.by_node(pod)]

    def _of_volume(self, volume: Doc) -> Iterable[Key]:
        reference = volume["spec"].get("claimRef")
        if plan.csi_of(volume) is None or not reference:
            return ()
        claim = self._claims.get(reference.get("name", ""), reference.get("namespace", ""))
        return () if claim is None else self._of_claim(claim)

    def _of_attachment(self, attachment: Doc) -> Iterable[Key]:
        """Its node, and those that wait for the volume to become free."""
        yield "", attachment["spec"]["nodeName"]
        for name in _volume_of(attachment):
            if (volume := self._volumes.get(name)) is not None:
                yield from self._of_volume(volume)

    def _of_driver(self, _: Doc) -> Iterable[Key]:
        return [("", node) for node in {*self._pods.index_values(ON_NODE), *self._attachments.index_values(ON_NODE)}]

    async def deleted(self, namespace: str, name: str) -> None:
        """Nothing can be mounted on a node that is gone."""
        for attachment in self._attachments.by_index(ON_NODE, name):
            if plan.is_ours(attachment, self._handle):
                await self._detach(attachment)

    async def reconcile(self, obj: Doc) -> Requeue | None:
        name = name_of(obj)
        if not plan.is_managed(obj):
            return None
        volumes = plan.wanted(
            name,
            self._pods.by_index(ON_NODE, name),
            lambda key: self._claims.get(key[1], key[0]),
            self._volumes.get,
            self._drivers.get,
        )
        attachments = {name_of(a): a for a in self._attachments.by_index(ON_NODE, name)}
        todo = plan.plan_node(
            obj,
            volumes,
            attachments,
            lambda volume: self._attachments.by_index(OF_VOLUME, volume),
            self._handle,
            self.clock.now(),
        )
        for event in todo.events:
            self.recorder.event(*event)
        await self._report(obj, todo)  # before anything is detached: what is not attached must not be mounted
        for attachment in todo.attach:
            with suppress(AlreadyExists):
                made = await self.client.create(VOLUME_ATTACHMENTS, attachment)
                await self._attachments.caught_up(revision_of(made))
        for doomed in todo.detach:
            await self._detach(doomed)
        return Requeue.after(todo.recheck)

    def _handle(self, volume: str) -> tuple[str, str] | None:
        source = plan.csi_of(found) if (found := self._volumes.get(volume)) is not None else None
        return None if source is None else (source["driver"], source["volumeHandle"])

    async def _report(self, node: Doc, todo: plan.AttachPlan) -> None:
        if todo.attached != list((node.get("status") or {}).get("volumesAttached") or ()):
            patch = {"metadata": {"uid": uid_of(node)}, "status": {"volumesAttached": todo.attached or None}}
            written: Any = await self.client.patch(NODES, name_of(node), patch, type="strategic", subresource="status")
            await self.lister.caught_up(revision_of(written))

    async def _detach(self, attachment: Doc) -> None:
        with suppress(NotFound):
            await self.client.delete(VOLUME_ATTACHMENTS, name_of(attachment), uid=uid_of(attachment))


def _volume_of(attachment: Doc) -> tuple[str, ...]:
    name = attachment["spec"]["source"].get("persistentVolumeName")
    return (name,) if name else ()


def _relevant(node: Doc) -> tuple[Any, ...]:
    status = node.get("status") or {}
    volumes = (status.get("volumesInUse"), status.get("volumesAttached"))
    return (*volumes, plan.is_managed(node), plan.unwell_since(node), plan.is_out_of_service(node))

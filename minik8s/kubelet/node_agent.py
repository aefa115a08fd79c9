"""Keeps the Node object: registers it, reports its status, renews its Lease.

Four times in its Lease's duration (`heartbeats`) it renews the Lease, and every five minutes it writes the status
(upstream: nodeStatusReportFrequency), or with the next beat when what it has to say has changed. A node that somebody
deleted stays deleted until the kubelet starts again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from minik8s.api.resources import LEASES, NODES
from minik8s.config import LEASE_SECONDS
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.node import (
    EVENTS,
    PRESSURES,
    TROUBLES,
    declared,
    image_list,
    lease,
    new_node,
    node_labels,
    node_status,
    offers_declared,
)
from minik8s.machinery.errors import AlreadyExists, ApiError, Conflict, NotFound
from minik8s.machinery.meta import Doc, Obj, find_condition, rfc3339, rfc3339_micro

LEASE_NAMESPACE = "kube-node-lease"
STATUS_SECONDS = 300.0
RETRY_SECONDS = 0.2
"""The first delay of registration's retries, doubling to `MAX_RETRY_SECONDS`: the API server may still be starting."""


MAX_RETRY_SECONDS = 10.0


class NodeAgent:
    """Speaks for one node; without `reports` it only beats, and what its status says is somebody else's affair."""

    def __init__(
        self,
        node: NodeContext,
        *,
        labels: Mapping[str, str],
        taints: Sequence[Doc],
        capacity: Mapping[str, str],
        boot: int = 0,
        reports: bool = True,
        lease_seconds: int = LEASE_SECONDS,
    ) -> None:
        self.object: Doc | None = None
        self.pressures: set[str] = set()
        """The conditions of what the node is short of."""
        self.shutting_down = False
        self._boot = boot
        self._reports, self._lease_seconds = reports, lease_seconds
        self._node = node
        self._labels = node_labels(node.name, labels)
        self._taints = taints
        self._capacity = capacity
        self._lease: Doc | None = None
        self._reported = 0.0
        self._listed: list[Obj] = []

    @property
    def node(self) -> Doc:
        """The Node as last heard of; there is one after `register`."""
        assert self.object is not None
        return self.object

    async def register(self) -> None:
        """Creates the Node, or adopts the one of that name, and reports it ready; tries until it succeeds."""
        delay = RETRY_SECONDS
        while True:
            try:
                await self._register()
                break
            except (ApiError, OSError):
                await self._node.clock.sleep(delay)
                delay = min(delay * 2, MAX_RETRY_SECONDS)
        with suppress(ApiError, OSError):  # the heartbeat tries again
            await self._renew()

    async def beat(self) -> None:
        """One heartbeat; whatever fails, the next one tries again."""
        due = self._node.clock.monotonic() - self._reported >= STATUS_SECONDS
        with suppress(ApiError, OSError):
            await self._renew()
            if due or self._says_otherwise():
                await self._report()

    async def report(self) -> None:
        """Reports the node's status now, if the API can be reached."""
        with suppress(ApiError, OSError):  # the heartbeat tries again
            await self._report()

    def observe(self, old: Doc | None, new: Doc | None) -> None:
        """The Node has changed: tells of cordons, and remembers what others wrote."""
        before, self.object = self.object, new or self.object
        if before is None or new is None:
            return
        was, is_ = (bool(node.get("spec", {}).get("unschedulable")) for node in (before, new))
        if was != is_:
            self._event("NodeNotSchedulable" if is_ else "NodeSchedulable")

    async def _register(self) -> None:
        client, name = self._node.client, self._node.name
        try:
            self.object = await client.create(NODES, self._new_node())
        except AlreadyExists:
            self.object = await client.patch(NODES, name, {"metadata": {"labels": self._labels}})
        self._node.recorder.event(self.object, "Normal", "Starting", "Starting kubelet.")
        await self._report()

    def _new_node(self) -> Obj:
        node = new_node(self._node.name, self._labels, self._taints)
        if not self._reports:  # whoever does may not know how large the node is
            node["status"] = {"capacity": dict(self._capacity), "allocatable": dict(self._capacity)}
        return node

    async def _report(self) -> None:
        node = self._node
        if not self._reports:
            return
        before = (self.object or {}).get("status") or {}
        capacity = {**self._capacity, **declared(before, self._capacity)}
        status = node_status(
            name=node.name,
            address=node.address,
            capacity=capacity,
            runtime=node.runtime,
            conditions=before.get("conditions"),
            now=rfc3339(node.clock.now()),
            pressures=self.pressures,
            shutting_down=self.shutting_down,
            boot=self._boot,
        )
        withdrawn = dict.fromkeys((before.get("allocatable") or {}).keys() - capacity)
        patch = {**status, "allocatable": {**status["allocatable"], **withdrawn}}
        self.object = await node.client.patch(
            NODES, node.name, {"status": patch}, type="strategic", subresource="status"
        )
        self._reported, self._listed = node.clock.monotonic(), status["images"]
        for condition in status["conditions"]:
            known = find_condition(before.get("conditions"), condition["type"])
            if known is None or known["status"] != condition["status"]:
                type_, is_good = condition["type"], (condition["type"] == "Ready") is (condition["status"] == "True")
                self._event((EVENTS if is_good else TROUBLES)[type_])
        boot, booted = status["nodeInfo"]["bootID"], (before.get("nodeInfo") or {}).get("bootID")
        if self.object is not None and booted and booted != boot:  # a node that nobody has reported on has none, or ""
            message = f"Node {node.name} has been rebooted, boot id: {boot}"
            node.recorder.event(self.object, "Warning", "Rebooted", message)

    async def _renew(self) -> None:
        """Renews the Lease by what was written last; anything unexpected is read or created anew."""
        client, name = self._node.client, self._node.name
        now = rfc3339_micro(self._node.clock.now())
        try:
            if self._lease is None:
                self._lease = await client.get(LEASES, name, namespace=LEASE_NAMESPACE)
            renewed = {**self._lease, "spec": {**self._lease["spec"], "renewTime": now, "holderIdentity": name}}
            self._lease = await client.update(LEASES, renewed)
        except NotFound:
            if self.object is not None:
                fresh = lease(name, self.object, self._lease_seconds, now)
                self._lease = await client.create(LEASES, fresh, namespace=LEASE_NAMESPACE)
        except Conflict:
            self._lease = None
            raise

    def _says_otherwise(self) -> bool:
        """Whether the API does not say of the node what its kubelet would say now."""
        status = self.node.get("status") or {}
        if not self._is_true() or not offers_declared(status, self._capacity):
            return True
        return self._reports and self._listed != image_list(self._node.runtime.images())

    def _is_true(self) -> bool:
        """Whether the API says of the node what its kubelet would say; the node controller may think otherwise."""
        conditions = ((self.object or {}).get("status") or {}).get("conditions")
        short = ((condition, str(condition in self.pressures)) for condition in PRESSURES)
        expected = (("Ready", str(not self.shutting_down)), *short)
        found = ((find_condition(conditions, type_), status) for type_, status in expected)
        return all(condition is not None and condition["status"] == status for condition, status in found)

    def _event(self, reason: str) -> None:
        if self.object is not None:
            message = f"Node {self._node.name} status is now: {reason}"
            self._node.recorder.event(self.object, "Normal", reason, message)

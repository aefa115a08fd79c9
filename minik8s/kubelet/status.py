"""Writes pod statuses to the API: the newest one only, and only what differs.

Workers mark themselves as changed, which costs nothing; when it is the node's turn (`commons`) each is asked for its
status, so a burst of changes becomes one write (upstream: pkg/kubelet/status). A pod that is being deleted goes when
its last status is written and nothing of it is left.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol
from weakref import WeakKeyDictionary

import anyio

from minik8s.api.resources import PODS
from minik8s.client.client import Client
from minik8s.clock import Clock
from minik8s.kubelet.crew import Crew
from minik8s.kubelet.pod_status import status_patch
from minik8s.machinery.errors import ApiError, Conflict, NotFound
from minik8s.machinery.meta import Doc, Obj, is_terminating, name_of, namespace_of, revision_of, rfc3339, uid_of

RETRY_SECONDS = 1.0


class StatusSource(Protocol):
    """A pod whose status is to be written."""

    @property
    def pod(self) -> Doc:
        """The newest document known."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing of the pod is left on the node."""
        ...

    @property
    def gone(self) -> bool:
        """Whether the API has forgotten the pod."""
        ...

    def status(self, now: str) -> Obj: ...

    def update(self, pod: Doc) -> bool:
        """Takes note of a document; answers whether it is newer than the one known."""
        ...


class StatusManager:
    """The statuses of one node's pods, each written by whoever of `writers` has the time, and by one at a time."""

    def __init__(self, client: Client, clock: Clock, writers: Crew) -> None:
        self._client = client
        self._clock = clock
        self._writers = writers
        self._changed: dict[StatusSource, None] = {}
        self._writing: set[StatusSource] = set()
        self._closed = False
        self._at_rest: anyio.Event | None = None
        self._written: WeakKeyDictionary[StatusSource, tuple[Obj, Doc]] = WeakKeyDictionary()
        self.writes = 0

    def mark(self, source: StatusSource) -> None:
        """Has the source's status written soon."""
        if not self._closed and source not in self._changed:
            self._changed[source] = None
            if source not in self._writing:
                self._writers.add(partial(self._take, source))

    async def written(self) -> None:
        """Returns when every status has been written, as far as the API could be reached."""
        while not self._closed and (self._changed or self._writing):
            self._at_rest = anyio.Event()
            await self._at_rest.wait()

    def close(self) -> None:
        """Nothing more is written: the kubelet has ended."""
        self._closed = True
        self._changed.clear()

    async def _take(self, source: StatusSource) -> None:
        """Writes a source's status, again if it changes in the meantime."""
        self._writing.add(source)
        try:
            while source in self._changed:
                del self._changed[source]
                await self._sync(source)
        finally:
            self._writing.discard(source)
            if self._at_rest is not None and not self._changed and not self._writing:
                self._at_rest.set()

    async def _sync(self, source: StatusSource) -> None:
        if source.gone:
            return
        try:
            await self._write(source)
            if source.ended and is_terminating(source.pod):
                await self._finish(source.pod)
        except NotFound:
            return  # the watch will say so too
        except Conflict:
            await self._refresh(source)
        except (ApiError, OSError):
            self._clock.call_later(RETRY_SECONDS, lambda: self.mark(source))

    async def _write(self, source: StatusSource) -> None:
        pod, desired = source.pod, source.status(rfc3339(self._clock.now()))
        patch = status_patch(pod, desired)
        if patch is None or self._written.get(source) == (desired, pod.get("status")):
            return  # the second: the server took this very status and keeps it in another form
        self.writes += 1
        written = await self._client.patch(
            PODS, name_of(pod), patch, namespace=namespace_of(pod), type="strategic", subresource="status"
        )
        source.update(written)
        self._written[source] = desired, written.get("status") or {}

    async def _finish(self, pod: Doc) -> None:
        """The last step of a graceful deletion."""
        await self._client.delete(PODS, name_of(pod), namespace=namespace_of(pod), grace_period=0, uid=uid_of(pod))

    async def _refresh(self, source: StatusSource) -> None:
        """After a conflict: the pod has changed, or a namesake has taken its place."""
        pod: Doc | None
        try:
            pod = await self._client.find(PODS, name_of(source.pod), namespace=namespace_of(source.pod))
        except (ApiError, OSError):
            pod = source.pod
        if pod is not None and uid_of(pod) == uid_of(source.pod):
            source.update(pod)
            self._clock.call_later(RETRY_SECONDS, lambda: self.mark(source))


class SettledPod:
    """A pod that does not run here: rejected by the node, or over before this kubelet began."""

    ended = True

    def __init__(self, pod: Doc, status: Obj | None = None) -> None:
        self.pod = pod
        self.gone = False
        self._status = status

    def status(self, now: str) -> Obj:
        return self._status if self._status is not None else dict(self.pod.get("status") or {})

    def update(self, pod: Doc) -> bool:
        newer = revision_of(pod) > revision_of(self.pod)
        if newer:
            self.pod = pod
        return newer

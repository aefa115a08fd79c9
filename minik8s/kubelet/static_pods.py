"""Runs the static pods of one node: those whose manifests lie in a directory, whatever the API says.

Each has a `PodWorker` like any pod, known by the hash of its manifest, and a mirror in the API, to which its status is
written. Who deletes the mirror gets another one; who changes the file gets another pod, once the one before has ended.
Upstream: pkg/kubelet/config/file.go, whose watch is a look once a second here, and kubelet.go's care of mirrors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Protocol, TypeAlias

import anyio

from minik8s.api.resources import PODS
from minik8s.api.staticpods import is_mirror
from minik8s.kubelet.admission import Claim, claim_of
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.node_agent import NodeAgent
from minik8s.kubelet.pod_worker import PodWorker
from minik8s.kubelet.static_plan import InvalidManifest, grace_of, mirror_of, plan_mirror, static_pod
from minik8s.logs import get_logger
from minik8s.machinery.errors import AlreadyExists, ApiError, Conflict, NotFound
from minik8s.machinery.meta import Doc, Obj, name_of, namespace_of, revision_of, rfc3339, uid_of

CHECK_SECONDS = 1.0
"""Between two looks at the directory (upstream looks every 20 s, and is told by the kernel in between)."""
RETRY_SECONDS = 10.0
"""Until a mirror that the API refuses is tried again."""

Name: TypeAlias = tuple[str, str]
_Mark: TypeAlias = tuple[int, int, int]
_log = get_logger(__name__)


class StaticPodWorker(PodWorker):
    """Runs a pod that no API gave; its status goes to the mirror, while there is one."""

    mirror: Mirror | None = None

    def changed(self) -> None:
        if self.mirror is not None:
            self.node.statuses.mark(self.mirror)


class Mirror:
    """What the API shows of a static pod, as a source of statuses; it goes when its pod does, not by its status."""

    ended = False

    def __init__(self, pod: Doc, status: Callable[[str], Obj]) -> None:
        self.pod, self.gone, self.status = pod, False, status

    def update(self, pod: Doc) -> bool:
        newer = revision_of(pod) > revision_of(self.pod)
        if newer:
            self.pod = pod
        return newer


class Host(Protocol):
    """The kubelet, as static pods see it."""

    def rejected(self, pod: Doc, claim: Claim) -> Obj | None:
        """The status of a pod that the node does not admit; None for one that it does."""
        ...

    def lead(self, worker: PodWorker) -> None:
        """Runs a pod that has been admitted."""
        ...

    def forget(self, worker: PodWorker) -> None:
        """Removes what is left of a pod that has ended."""
        ...


class StaticPods:
    """The static pods of one node, from the files of some folders, which need not exist."""

    def __init__(self, node: NodeContext, agent: NodeAgent, host: Host, folders: Sequence[Path]) -> None:
        self._node, self._agent, self._host, self.folders = node, agent, host, folders
        self._files: dict[Path, tuple[_Mark, Obj | None]] = {}
        self._pods: dict[Name, tuple[Obj, StaticPodWorker | Callable[[str], Obj]]] = {}
        self._mirrors: dict[Name, Mirror] = {}
        self._wake = anyio.Event()
        self._is_stale = True
        self._retry_at = float("inf")

    @property
    def uids(self) -> set[str]:
        """By what the node knows them."""
        return {uid_of(pod) for pod, _ in self._pods.values()}

    def touch(self) -> None:
        """A mirror has changed, or a pod has ended."""
        self._is_stale = True
        self._wake.set()

    async def run(self) -> None:
        """Looks after them until cancelled."""
        clock = self._node.clock
        while True:
            if self._read() or self._is_stale or clock.monotonic() >= self._retry_at:
                self._is_stale, self._retry_at = False, float("inf")
                await self._sync()
            timer = clock.call_later(CHECK_SECONDS, self._wake.set) if self.folders else None
            await self._wake.wait()
            self._wake = anyio.Event()
            if timer is not None:
                timer.cancel()

    # -- files

    def _read(self) -> bool:
        """Takes note of the files; whether any is another one than before."""
        marks = {path: mark for folder in self.folders for path, mark in _files_in(folder)}
        changed = {path for path, mark in marks.items() if path not in self._files or self._files[path][0] != mark}
        gone = self._files.keys() - marks.keys()
        for path in gone:
            del self._files[path]
        for path in sorted(changed):
            self._files[path] = marks[path], self._load(path)
        return bool(changed or gone)

    def _load(self, path: Path) -> Obj | None:
        try:
            return static_pod(path.read_bytes(), str(path), self._node.name, rfc3339(self._node.clock.now()))
        except (OSError, InvalidManifest) as error:
            text = f"static pod {path}: {error}"
            _log.warning("a static pod cannot be run", path=str(path), reason=str(error))
            self._node.recorder.event(self._agent.node, "Warning", "InvalidStaticPod", text)
            return None

    def _wanted(self) -> dict[Name, Obj]:
        """The pods that there should be; of two with one name the first file's."""
        wanted: dict[Name, Obj] = {}
        for _, (_, pod) in sorted(self._files.items()):
            if pod is not None:
                wanted.setdefault((namespace_of(pod), name_of(pod)), pod)
        return wanted

    # -- pods

    async def _sync(self) -> None:
        wanted = self._wanted()
        for name in [*self._pods, *(name for name in wanted if name not in self._pods)]:
            self._sync_pod(name, wanted.get(name))
        lister = self._node.dispatch.pod_informer.lister
        shown = {
            (namespace_of(pod), name_of(pod)): pod for pod in lister.by_index("node", self._node.name) if is_mirror(pod)
        }
        for name in sorted(self._pods.keys() | shown.keys()):
            try:
                await self._sync_mirror(name, shown.get(name))
            except (ApiError, OSError) as error:
                _log.info("a mirror pod cannot be written", pod="/".join(name), reason=str(error))
                self._retry_at = self._node.clock.monotonic() + RETRY_SECONDS

    def _sync_pod(self, name: Name, wanted: Obj | None) -> None:
        """Starts a pod, or has the one of another manifest end first."""
        if name in self._pods:
            pod, runs = self._pods[name]
            if wanted is not None and uid_of(wanted) == uid_of(pod):
                return
            if isinstance(runs, StaticPodWorker) and not runs.ended:
                if not runs.is_ending:
                    runs.terminate(grace_of(pod))
                return
            if isinstance(runs, StaticPodWorker):
                self._host.forget(runs)
            del self._pods[name]
        if wanted is not None:
            self._pods[name] = wanted, self._begin(wanted)

    def _begin(self, pod: Obj) -> StaticPodWorker | Callable[[str], Obj]:
        """Runs a pod, or says always the same of one that is not admitted."""
        claim = claim_of(pod)
        if (rejected := self._host.rejected(pod, claim)) is not None:
            return lambda now: rejected
        worker = StaticPodWorker(self._node, pod, claim)
        self._host.lead(worker)
        return worker

    async def _sync_mirror(self, name: Name, mirror: Doc | None) -> None:
        client, lister = self._node.client, self._node.dispatch.pod_informer.lister
        pod, runs = self._pods.get(name, (None, None))
        todo = plan_mirror(pod, mirror, self._agent.node)
        if todo.delete and mirror is not None:
            self._show(name, None)
            with suppress(NotFound, Conflict):  # a conflict: another of that name, of which we are going to hear
                await client.delete(PODS, name[1], namespace=name[0], grace_period=0, uid=uid_of(mirror))
        if todo.create and pod is not None:
            with suppress(AlreadyExists):
                mirror = await client.create(PODS, mirror_of(pod, self._agent.node))
                await lister.caught_up(revision_of(mirror))
        if pod is not None and runs is not None and mirror is not None and (todo.create or not todo.delete):
            self._show(name, mirror)

    def _show(self, name: Name, pod: Doc | None) -> None:
        """From now on the pod's status is written to this mirror, or to none."""
        known = self._mirrors.get(name)
        if known is not None and pod is not None and uid_of(known.pod) == uid_of(pod):
            known.update(pod)
            return
        if known is not None:
            known.gone = True
            del self._mirrors[name]
        runs = self._pods[name][1] if name in self._pods else None
        if isinstance(runs, StaticPodWorker):
            runs.mirror = None
        if pod is None or runs is None:
            return
        shown = self._mirrors[name] = Mirror(pod, runs.status if isinstance(runs, StaticPodWorker) else runs)
        if isinstance(runs, StaticPodWorker):
            runs.mirror = shown
        self._node.statuses.mark(shown)


def _files_in(folder: Path) -> Iterator[tuple[Path, _Mark]]:
    """The files of a folder, hidden ones left out as upstream does, each with what tells that it is another."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for path in entries:
        with suppress(OSError):
            found = path.stat()
            if not path.name.startswith(".") and S_ISREG(found.st_mode):
                yield path, (found.st_ino, found.st_mtime_ns, found.st_size)

"""What a failing test's cluster looked like: for the report, so that nobody has to run it again to find out.

Read from the store without awaiting anything, because the test's loop no longer runs when pytest asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from minik8s.api.pods import is_pod_ready
from minik8s.api.request import ApiRequest
from minik8s.api.resource import Resource
from minik8s.api.resources import EVENTS, PERSISTENT_VOLUME_CLAIMS, PODS
from minik8s.api.volumes import claims_of
from minik8s.apiserver.context import StoreWorld
from minik8s.apiserver.history import BRIEF, Step
from minik8s.apiserver.interception import Proceed, Where
from minik8s.apiserver.requestlog import LoggedRequest
from minik8s.apiserver.response import ApiResponse
from minik8s.client.events import last_seen, times_seen
from minik8s.client.why import explain_pod
from minik8s.cluster import Cluster
from minik8s.machinery.difference import shown
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, name_of, uid_of

MOST_EVENTS, MOST_WRITES, MOST_PODS = 15, 20, 10
MOST_OBJECTS, MOST_STEPS, MOST_FIELDS = 5, 8, 3
"""Of the timelines: how many objects, how many writes of each, and how many fields of a write."""
_KUBELETS = "system:node:"
_HEARTBEATS = frozenset({"leases.coordination.k8s.io", "events"})


class LastWrites:
    """Remembers the last writes to a cluster: what changed last, and who changed it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._writes: deque[LoggedRequest] = deque(maxlen=MOST_WRITES)
        self._where = Where(verb="write")
        self._objects: dict[tuple[Resource[Any], str, str], None] = {}
        cluster.intercept(self._intercept)

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(self._writes)

    def objects(self) -> list[tuple[Resource[Any], str, str]]:
        """(resource, namespace, name) of what others than the cluster's own components have written, newest last."""
        return list(self._objects)[-MOST_OBJECTS:]

    def _touch(self, request: ApiRequest, response: ApiResponse) -> None:
        name = request.name or name_of(getattr(response, "document", None) or {"metadata": {"name": ""}})
        if request.user.trusted or not name:
            return
        key = (request.resource, request.namespace, name)
        self._objects.pop(key, None)
        self._objects[key] = None
        if len(self._objects) > MOST_WRITES:
            del self._objects[next(iter(self._objects))]

    async def _intercept(self, request: ApiRequest, proceed: Proceed) -> ApiResponse:
        if not self._where.matches(request) or _is_heartbeat(request):
            return await proceed(request)
        at, code = self.cluster.clock.now(), 200
        try:
            response = await proceed(request)
            code = getattr(response, "code", 200)
            self._touch(request, response)
            return response
        except ApiError as error:
            code = error.code
            raise
        finally:
            self._writes.append(LoggedRequest(at, request, code))


def _is_heartbeat(request: ApiRequest) -> bool:
    """What would fill the report of a test in which hours pass: leases, events, and what kubelets say of their node."""
    resource = request.resource.group_resource
    return resource in _HEARTBEATS or (resource == "nodes" and request.user.name.startswith(_KUBELETS))


def describe(world: StoreWorld, writes: LastWrites | None = None) -> str:
    """What became of what the test wrote, pods that are not well and why, the last events and writes; or ""."""
    sections = [
        ("what the test wrote, and what became of it", list(_timelines(writes)) if writes is not None else []),
        ("pods that are not ready", list(_pods(world))),
        ("last events", list(_events(world))),
        ("last writes", [str(write) for write in writes or ()]),
    ]
    return "\n\n".join("\n".join([f"{title}:", *(f"  {line}" for line in lines)]) for title, lines in sections if lines)


def _timelines(writes: LastWrites) -> Iterator[str]:
    for resource, namespace, name in writes.objects():
        try:
            history = writes.cluster.history(resource, name, namespace=namespace)
        except ApiError:  # it was written so long ago that nothing is remembered
            continue
        steps = list(history)
        yield history.subject
        if len(steps) > MOST_STEPS:
            yield f"  ({len(steps) - MOST_STEPS} earlier)"
        yield from (f"  {_step(step)}" for step in steps[-MOST_STEPS:])


def _step(step: Step) -> str:
    """When, what and by whom, and the first fields that it changed, in one line."""
    when = f"{step.at:%H:%M:%S.%f}"[:-3] if step.at else "?"
    fields = [f"{d.path}: {shown(d.before, BRIEF)} -> {shown(d.after, BRIEF)}" for d in step.differences[:MOST_FIELDS]]
    more = len(step.differences) - len(fields)
    what = ", ".join(fields + ([f"and {more} more"] if more > 0 else []))
    return f"{when} {step.verb} by {step.actor}" + (f": {what}" if what else "")


def _pods(world: StoreWorld) -> Iterator[str]:
    unwell = [pod for pod in world.list(PODS) if not is_pod_ready(pod) and _phase(pod) != "Succeeded"]
    for pod in unwell[:MOST_PODS]:
        events = [event for event in world.list(EVENTS) if event["involvedObject"].get("uid") == uid_of(pod)]
        claims = {name: world.get(PERSISTENT_VOLUME_CLAIMS, name, namespace) for namespace, name in claims_of(pod)}
        yield from explain_pod(pod, events, claims).lines()
    if len(unwell) > MOST_PODS:
        yield f"and {len(unwell) - MOST_PODS} more"


def _phase(pod: Doc) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _events(world: StoreWorld) -> Iterator[str]:
    events: list[Any] = sorted(world.list(EVENTS), key=last_seen)
    for event in events[-MOST_EVENTS:]:
        about = event["involvedObject"]
        times = f" x{count}" if (count := times_seen(event)) > 1 else ""
        what = f"{event.get('type')} {event.get('reason')}{times} {about.get('kind', '')}/{about.get('name', '')}"
        yield f"{last_seen(event)} {what}: {event.get('message')}"

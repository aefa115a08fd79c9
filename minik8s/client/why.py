"""Why something is not as it should be: what a person finds out with get, describe and events, the weightiest first.

`explain_pod` and `explain_workload` are pure: documents in, findings out. `why` fetches what they need, from any API
server. A finding is one sentence; the first says what the matter is, the rest what is known about its cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from minik8s.api.pods import is_pod_ready
from minik8s.api.resource import Resource
from minik8s.api.resourceclaims import NotMadeYet, claim_name, claim_names, references
from minik8s.api.resources import EVENTS, PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_CLAIMS
from minik8s.api.volumes import claims_of, is_bound
from minik8s.client.client import Client
from minik8s.client.events import last_seen, times_seen
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc, find_condition, is_terminating, name_of, namespace_of, uid_of
from minik8s.machinery.selectors import LabelSelector

MOST_EVENTS = 3
_STARTING = ("", "ContainerCreating", "PodInitializing")
_GOOD = {"Available": "True", "Progressing": "True", "ReplicaFailure": "False", "Complete": "True", "Failed": "False"}
"""The conditions of workloads that tell how they are, and what they are when all is well."""

_UPDATED = {"Deployment": "updatedReplicas", "StatefulSet": "updatedReplicas", "DaemonSet": "updatedNumberScheduled"}
"""Where the workloads that roll out say how many of their pods are of the latest template."""


@attrs.frozen
class Explanation:
    """What was found out about one object, and about those below it that matter."""

    subject: str
    findings: tuple[str, ...]
    below: tuple[Explanation, ...] = ()

    def adding(self, finding: str) -> Explanation:
        """The same with one more finding, if there is one."""
        return attrs.evolve(self, findings=(*self.findings, finding)) if finding else self

    def lines(self, indent: int = 0) -> Iterator[str]:
        """As text: the subject with its findings, those below it further in."""
        space = "  " * indent
        first, *rest = self.findings or ("nothing is known about it",)
        yield f"{space}{self.subject}: {first}"
        yield from (f"{space}  {finding}" for finding in rest)
        for explanation in self.below:
            yield from explanation.lines(indent + 1)

    def __str__(self) -> str:
        return "\n".join(self.lines())


Claims = Mapping[str, Doc | None]
"""Claims that a pod names, None for one that does not exist."""


def explain_pod(
    pod: Doc, events: Sequence[Doc] = (), claims: Claims | None = None, devices: Claims | None = None
) -> Explanation:
    """Of a pod; `claims` are those for volumes, `devices` its ResourceClaims."""
    about_claims = [*_claim_findings(claims or {}), *_device_findings(pod, devices or {})]
    findings = [*_pod_findings(pod), *about_claims, *_event_findings(events)]
    return Explanation(f"pod/{name_of(pod)}", tuple(dict.fromkeys(findings)))


def _pod_findings(pod: Doc) -> Iterator[str]:
    status = pod.get("status") or {}
    phase = status.get("phase", "Unknown")
    if is_terminating(pod):
        yield from _termination(pod)
    if phase in ("Succeeded", "Failed"):
        why = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
        yield f"it has {phase.lower()}" + (f" ({why})" if why else "")
        yield from _containers(status)
        return
    if not pod["spec"].get("nodeName"):
        yield from _unscheduled(pod, status)
        return
    if is_pod_ready(pod):
        yield f"it is running and ready on {pod['spec']['nodeName']}"
        return
    yield f"it is on {pod['spec']['nodeName']}, and not ready" if phase == "Running" else "it is starting"
    yield from _containers(status)
    yield from _gates(pod, status)


def _termination(pod: Doc) -> Iterator[str]:
    metadata = pod["metadata"]
    grace = metadata.get("deletionGracePeriodSeconds")
    yield f"it is being deleted since {metadata['deletionTimestamp']}" + (f", with {grace} s of grace" if grace else "")
    if finalizers := metadata.get("finalizers"):
        yield f"it waits for its finalizers: {', '.join(finalizers)}"


def _unscheduled(pod: Doc, status: Doc) -> Iterator[str]:
    if gates := pod["spec"].get("schedulingGates"):
        yield f"it is not scheduled before its gates are removed: {', '.join(gate['name'] for gate in gates)}"
        return
    scheduler = pod["spec"].get("schedulerName") or "default-scheduler"
    condition = find_condition(status.get("conditions"), "PodScheduled")
    if condition is None or not condition.get("message"):
        if references(pod):
            yield f"it is not scheduled before it has its resource claims; it waits for {scheduler}"
            return
        yield f"no scheduler has looked at it yet; it waits for {scheduler}"
        return
    yield f"it is not scheduled: {condition['message']}"
    if nominated := status.get("nominatedNodeName"):
        yield f"room is being made for it on {nominated}"


def _containers(status: Doc) -> Iterator[str]:
    for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for container in status.get(key) or ():
            yield from _container(container, init=key == "initContainerStatuses")


def _container(container: Doc, *, init: bool) -> Iterator[str]:
    name = f"{'init ' if init else ''}container {container['name']}"
    state, last = container.get("state") or {}, container.get("lastState") or {}
    if waiting := state.get("waiting"):
        if waiting.get("reason", "") not in _STARTING:
            message = f": {waiting['message']}" if waiting.get("message") else ""
            yield f"{name} waits: {waiting['reason']}{message}"
    elif ended := state.get("terminated"):
        if ended.get("exitCode") or not init:
            yield f"{name} has ended: {_ending(ended)}"
    elif "running" in state and not container.get("ready"):
        yield f"{name} runs" + ("" if init else ", but is not ready")
    if (ended := last.get("terminated")) and container.get("restartCount"):
        yield f"{name} has been restarted {container['restartCount']} times; last it ended with {_ending(ended)}"


def _ending(ended: Doc) -> str:
    parts = [ended.get("reason") or "", f"exit code {ended.get('exitCode', 0)}"]
    if signal := ended.get("signal"):
        parts.append(f"signal {signal}")
    text = ", ".join(part for part in parts if part)
    message = (ended.get("message") or "").strip()
    return f"{text}: {message}" if message else text


def _gates(pod: Doc, status: Doc) -> Iterator[str]:
    for gate in pod["spec"].get("readinessGates") or ():
        condition = find_condition(status.get("conditions"), gate["conditionType"])
        if condition is None or condition.get("status") != "True":
            yield f"its readiness gate {gate['conditionType']} is not true"


def _claim_findings(claims: Claims) -> Iterator[str]:
    for name, claim in claims.items():
        if claim is None:
            yield f"its claim {name} does not exist"
        elif not is_bound(claim):
            yield f"its claim {name} is {(claim.get('status') or {}).get('phase', 'Pending')}"


def _device_findings(pod: Doc, claims: Claims) -> Iterator[str]:
    """The scheduler says nothing of a pod whose resource claims are not there."""
    for reference in references(pod):
        try:
            name = claim_name(pod, reference)
        except NotMadeYet:
            yield f"its resource claim {reference['name']} has not been made yet"
            continue
        if not name or name not in claims:
            continue
        claim = claims[name]
        if claim is None:
            yield f"its resource claim {name} does not exist"
        elif is_terminating(claim):
            yield f"its resource claim {name} is being deleted"


def _event_findings(events: Sequence[Doc]) -> Iterator[str]:
    """The last few warnings."""
    warnings = [event for event in events if event.get("type") == "Warning"]
    warnings.sort(key=last_seen)
    for event in warnings[-MOST_EVENTS:]:
        times = f" ({count} times)" if (count := times_seen(event)) > 1 else ""
        yield f"event {event.get('reason', '')}{times}: {(event.get('message') or '').strip()}"


def explain_workload(
    resource: Resource[Any], obj: Doc, events: Sequence[Doc], pods: Iterable[Explanation]
) -> Explanation:
    """Of anything that has pods, or just conditions; `pods` are the explanations of those that are not well."""
    status = obj.get("status") or {}
    findings = list(_termination(obj)) if is_terminating(obj) else []
    findings += [*_rollout(resource.kind, obj, status), *_counts(resource.kind, obj, status)]
    for condition in status.get("conditions") or ():
        expected = _GOOD.get(condition["type"])
        if condition.get("status") != expected and (condition.get("message") or expected is not None):
            why = ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
            findings.append(
                f"condition {condition['type']} is {condition.get('status')}" + (f" ({why})" if why else "")
            )
    findings += _event_findings(events)
    subject = f"{resource.group_kind.lower()}/{name_of(obj)}"
    return Explanation(subject, tuple(dict.fromkeys(findings)), tuple(pods))


def _rollout(kind: str, obj: Doc, status: Doc) -> Iterator[str]:
    """What is stuck or under way, where pods that are ready say nothing of it: they may all be old ones."""
    if kind not in _UPDATED:
        return
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        yield "its last change is still to be seen by its controller"
        return
    wanted, updated = _wanted(obj, status), status.get(_UPDATED[kind], 0)
    old = max(0, status.get("replicas", status.get("currentNumberScheduled", 0)) - updated)
    progressing = find_condition(status.get("conditions"), "Progressing") or {}
    stuck = progressing.get("status") == "False"
    if not stuck and ((updated >= wanted and not old) or status.get("updateRevision", "") == _current(status)):
        return
    spec, how = obj["spec"], "is stuck" if stuck else "is under way"
    strategy = spec.get("updateStrategy") or {}
    if spec.get("paused"):
        how = "is paused"
    elif strategy.get("type") == "OnDelete":
        how = "waits for its old pods to be deleted (OnDelete)"
    elif partition := (strategy.get("rollingUpdate") or {}).get("partition"):
        how += f" from ordinal {partition} on"
    yield f"its rollout {how}: {updated} of {wanted} wanted pods are updated" + (
        f", {old} old ones are left" * bool(old)
    )


def _current(status: Doc) -> str:
    return str(status.get("currentRevision", "-"))


def _wanted(obj: Doc, status: Doc) -> int:
    spec = obj.get("spec") or {}
    return int(spec["replicas"] if "replicas" in spec else status.get("desiredNumberScheduled", 0))


def _counts(kind: str, obj: Doc, status: Doc) -> Iterator[str]:
    if kind == "Job":
        yield _completions(obj["spec"], status)
    elif "replicas" in (obj.get("spec") or {}) or "desiredNumberScheduled" in status:
        ready = status.get("readyReplicas", status.get("numberReady", 0))
        yield f"{ready} of {_wanted(obj, status)} wanted pods are ready"
    elif "phase" in status:
        yield f"it is {status['phase']}"
    else:
        yield "nothing in its status says how it is" if not status.get("conditions") else "its conditions:"


def _completions(spec: Doc, status: Doc) -> str:
    counts = [f"{status[key]} pods {key}" for key in ("active", "failed", "terminating") if status.get(key)]
    wanted = f" of {spec['completions']}" if spec.get("completions") else ""
    parts = [f"{status.get('succeeded', 0)}{wanted} wanted pods have succeeded", *counts]
    for type_, how in (("Failed", "it has failed"), ("Complete", "it is complete"), ("Suspended", "it is suspended")):
        if (find_condition(status.get("conditions"), type_) or {}).get("status") == "True":
            return "; ".join([how, *parts])
    return "; ".join(parts)


async def why(client: Client, resource: Resource[Any], name: str, namespace: str = "") -> Explanation:
    """Asks an API server why an object is as it is. Raises NotFound and other ApiErrors."""
    obj = await client.get(resource, name, namespace=namespace)
    if resource.kind == PODS.kind and not resource.group:
        return await _why_pod(client, obj)
    events = await _events_of(client, obj)
    below = []
    for pod in await _pods_of(client, obj):
        if not is_pod_ready(pod):
            below.append(await _why_pod(client, pod))
    owned = await _failures_of_owned(client, obj)
    return explain_workload(resource, obj, [*events, *owned], below)


async def _why_pod(client: Client, pod: Doc) -> Explanation:
    claims: dict[str, Doc | None] = {}
    for namespace, name in claims_of(pod):
        claims[name] = await client.find(PERSISTENT_VOLUME_CLAIMS, name, namespace=namespace)
    devices: dict[str, Doc | None] = {}
    for name in claim_names(pod):
        devices[name] = await client.find(RESOURCE_CLAIMS, name, namespace=namespace_of(pod))
    return explain_pod(pod, await _events_of(client, pod), claims, devices)


async def _events_of(client: Client, obj: Doc) -> list[Doc]:
    selector = f"involvedObject.uid={uid_of(obj)}"
    return list((await client.list(EVENTS, namespace=namespace_of(obj), field_selector=selector)).items)


async def _failures_of_owned(client: Client, obj: Doc) -> list[Doc]:
    """What was said about replica sets and the like: a Deployment's failed creations are told there."""
    found = await client.list(EVENTS, namespace=namespace_of(obj), field_selector="reason=FailedCreate")
    prefix = f"{name_of(obj)}-"
    return [event for event in found.items if str(event["involvedObject"].get("name", "")).startswith(prefix)]


async def _pods_of(client: Client, obj: Doc) -> list[Doc]:
    """The pods that an object's selector finds; none for an object without one."""
    selector = (obj.get("spec") or {}).get("selector")
    if not isinstance(selector, Mapping) or not namespace_of(obj):
        return []
    labelled = "matchLabels" in selector or "matchExpressions" in selector
    try:
        parsed = LabelSelector.from_object(selector) if labelled else LabelSelector.from_map(selector)
    except (BadRequest, AttributeError):
        return []
    if parsed.is_everything:
        return []
    return list((await client.list(PODS, namespace=namespace_of(obj), label_selector=str(parsed))).items)

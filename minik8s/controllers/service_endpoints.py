"""What the endpoints and endpointslice controllers decide alike: which pods answer for a Service, and at which port.

Pure. Upstream: `k8s.io/endpointslice/util` and `pkg/api/v1/pod`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from minik8s.api.pods import is_terminal
from minik8s.api.services import SERVICE_NAME_LABEL as SERVICE_NAME_LABEL
from minik8s.api.services import by_service as by_service
from minik8s.machinery.meta import (
    Doc,
    Obj,
    find_condition,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)

LAST_CHANGE_ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"
HEADLESS_LABEL = "service.kubernetes.io/headless"


def has_endpoints(service: Doc) -> bool:
    """Whether the controllers fill in this Service's endpoints: ones without a selector belong to somebody else."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def is_headless(service: Doc) -> bool:
    """Upstream's `!IsServiceIPSet`."""
    return service["spec"].get("clusterIP", "") in ("", "None")


def selects(service: Doc, pod: Doc) -> bool:
    """Whether the Service's selector matches the pod's labels (both are of one namespace)."""
    selector: Mapping[str, str] = service["spec"].get("selector") or {}
    labels = labels_of(pod)
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def belongs(pod: Doc, *, include_terminating: bool) -> bool:
    """Upstream's `ShouldPodBeInEndpoints`: it has an address and may still answer there."""
    if is_terminal(pod) or not next(addresses_of(pod), None):
        return False
    return include_terminating or not is_terminating(pod)


def addresses_of(pod: Doc) -> Iterator[str]:
    """The pod's addresses, the first family first."""
    status = pod.get("status") or {}
    for entry in status.get("podIPs") or [{"ip": status.get("podIP")}]:
        if entry.get("ip"):
            yield entry["ip"]


def families_of(service: Doc) -> tuple[str, ...]:
    """ "IPv4" and/or "IPv6": `ipFamilies`, or for Services older than those the family of the ClusterIP."""
    spec = service["spec"]
    return tuple(spec.get("ipFamilies") or ()) or (family_of(spec.get("clusterIP", "")),)


def family_of(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def hostname_of(service: Doc, pod: Doc) -> str:
    """The name under which DNS knows the pod within this Service, "" for none."""
    spec = pod["spec"]
    hostname: str = spec.get("hostname", "")
    return hostname if spec.get("subdomain") == name_of(service) else ""


def target_of(pod: Doc) -> Obj:
    """The targetRef of an endpoint."""
    return {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)}


def ports_of(service: Doc, pod: Doc) -> list[Obj]:
    """The Service's ports as this pod offers them, with every field; ports that it does not have are left out."""
    result = []
    for port in service["spec"].get("ports") or ():
        number = resolve_port(pod, port)
        if number is None:
            continue
        entry = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
        if "appProtocol" in port:
            entry["appProtocol"] = port["appProtocol"]
        result.append(entry)
    return result


def resolve_port(pod: Doc, port: Doc) -> int | None:
    """The number of a targetPort in a pod; None when no container has a port of that name and protocol."""
    target: int | str = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    for container in _serving_containers(pod["spec"]):
        for candidate in container.get("ports") or ():
            same = candidate.get("name") == target and candidate.get("protocol", "TCP") == port.get("protocol", "TCP")
            if same:
                return candidate["containerPort"]
    return None


def _serving_containers(spec: Doc) -> Iterator[Doc]:
    yield from spec.get("containers") or ()
    yield from (c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always")


def is_namespace_terminating(error: Any) -> bool:
    """Whether a creation was refused because the namespace is going away, which is no failure."""
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)


@attrs.define
class TriggerTimes:
    """When the change happened that the next write publishes (upstream's TriggerTimeTracker).

    It is the earliest of the triggers not seen before: pods becoming ready or unready, and the Service's creation.
    Times are RFC 3339 texts in whole seconds, which sort as they are. Pods here may start and become ready within one
    second, so a pod's readiness is compared as well as its time.
    """

    _seen: dict[tuple[str, str], tuple[str, dict[str, tuple[str, str]]]] = attrs.field(factory=dict)

    def observe(self, service: Doc, pods: Iterable[Doc]) -> str:
        """The trigger of what is new since the last call for this Service, "" when nothing is."""
        key = (namespace_of(service), name_of(service))
        last_created, last_pods = self._seen.get(key, ("", {}))
        created: str = service["metadata"].get("creationTimestamp") or ""
        states = {uid_of(pod): _readiness(pod) for pod in pods}
        fresh = [state[0] for uid, state in states.items() if state[0] and state != last_pods.get(uid)]
        if created > last_created:
            fresh.append(created)
        self._seen[key] = (created, states)
        return min(fresh, default="")

    def forget(self, namespace: str, name: str) -> None:
        self._seen.pop((namespace, name), None)


def _readiness(pod: Doc) -> tuple[str, str]:
    """Since when the pod is how ready; ("", "") before anybody has said."""
    condition = find_condition((pod.get("status") or {}).get("conditions"), "Ready") or {}
    return condition.get("lastTransitionTime") or "", condition.get("status") or ""


def by_selector(service: Doc) -> tuple[str, ...]:
    """The index of Services by one term of their selector: a pod's labels lead to the few that may select it."""
    selector = service["spec"].get("selector") or {}
    return (label_key(service, *min(selector.items())),) if selector else ()


def label_key(obj: Doc, key: str, value: str) -> str:
    """A label of one namespace as an index value."""
    return f"{namespace_of(obj)}/{key}={value}"

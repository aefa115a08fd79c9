"""Extended resources that stand for devices: `example.com/gpu: 2` of a container are two devices of a DeviceClass.

Where the node itself has the resource, it is an ordinary one; elsewhere all of them together are the requests of one
claim, which exists in memory only until the scheduler binds the pod, and is then made for it. What init containers use
before they end, later containers use again. Upstream: `extendeddynamicresources.go` (gate DRAExtendedResource).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from minik8s.api.pods import container_amounts, in_units, is_sidecar
from minik8s.api.resourceclaims import EXTENDED_RESOURCE_ANNOTATION, IMPLICIT, may_be_devices
from minik8s.machinery.meta import Doc, Obj, name_of, namespace_of, uid_of
from minik8s.scheduler.devices.requests import Classes, Wanted, read_claim

IN_MEMORY = "<extended-resources>"
"""The name of the claim that has not been made; nothing in the API server can have it."""
_POD = {"apiVersion": "v1", "kind": "Pod"}
ClassFor: TypeAlias = Callable[[str], "Doc | None"]
"""The DeviceClass behind an extended resource."""


class Unfit(Exception):
    """A node neither has a resource, nor is there a class for it; the text is upstream's."""


@attrs.frozen
class Variant:
    """The claim as one node needs it; `mappings` say which container's resource is which request."""

    claim: Obj
    wanted: Wanted
    mappings: Sequence[Obj]


class ExtendedResources:
    """Of one pod. `stale` is the claim of an earlier attempt, which has to go before there is another."""

    def __init__(self, pod: Doc, asked: Iterable[tuple[str, int]], stale: Doc | None, uid: str) -> None:
        self.stale = stale
        self._pod = pod
        self._asked = [(name, number) for name, number in asked if number and may_be_devices(name)]
        self._uid = uid
        self._variants: dict[frozenset[str], Variant] = {}

    def on(self, allocatable: Mapping[str, int], class_for: ClassFor, classes: Classes) -> Variant | None:
        """What the node has to give as devices; None for nothing. Raises Unfit and AllocationError."""
        wanted = []
        for name, _ in self._asked:
            if not allocatable.get(name) and class_for(name) is not None:
                wanted.append(name)
            elif name not in allocatable:
                raise Unfit("cannot fit resource")
        key = frozenset(wanted)
        if wanted and key not in self._variants:
            requests, mappings = requests_of(self._pod["spec"], sorted(wanted), class_for)
            claim = new_claim(self._pod, self._uid, requests)
            self._variants[key] = Variant(claim, read_claim(claim, classes), mappings)
        return self._variants.get(key)


def stands_for(class_: Doc, resource: str) -> bool:
    """Whether a DeviceClass is behind an extended resource."""
    explicit = (class_.get("spec") or {}).get("extendedResourceName")
    return resource in (explicit, f"{IMPLICIT}{name_of(class_)}")


def new_claim(pod: Doc, uid: str, requests: Sequence[Obj]) -> Obj:
    """The claim in memory; `uid` is not that of the one to be made."""
    return {
        "metadata": {
            "name": IN_MEMORY,
            "generateName": f"{name_of(pod)}-extended-resources-",
            "namespace": namespace_of(pod),
            "uid": uid,
            "annotations": {EXTENDED_RESOURCE_ANNOTATION: "true"},
            "ownerReferences": [{**_POD, "name": name_of(pod), "uid": uid_of(pod), "controller": True}],
        },
        "spec": {"devices": {"requests": list(requests)}},
    }


def requests_of(spec: Doc, resources: Sequence[str], class_for: ClassFor) -> tuple[list[Obj], list[Obj]]:
    """DeviceRequests by name, and what of which containers they are for (requestMappings of the pod's status)."""
    requests: list[Obj] = []
    mappings: list[Obj] = []
    for resource in resources:
        if (class_ := class_for(resource)) is not None:
            requests += _of_resource(spec, resource, name_of(class_), mappings)
    return sorted(requests, key=lambda request: str(request["name"])), mappings


def _of_resource(spec: Doc, resource: str, class_: str, mappings: list[Obj]) -> Iterator[Obj]:
    """First those that run on, then init containers that end: one after the other they share what one of them needs."""
    first = spec.get("initContainers") or ()
    containers = [*first, *spec["containers"]]
    brief = [index for index, container in enumerate(first) if not is_sidecar(container)]
    lasting: dict[int, Obj] = {}
    for index, container in enumerate(containers):
        if index not in brief and (new := _request(container, index, resource, class_, (), mappings)) is not None:
            lasting[index] = new
    mapped, extra = len(mappings), []
    for index in brief:
        later = [request for at, request in lasting.items() if at > index]
        if (new := _request(containers[index], index, resource, class_, later, mappings)) is not None:
            extra.append(new)
    if extra:
        most = max(extra, key=lambda request: int(request["exactly"]["count"]))
        others = {request["name"] for request in extra}
        for mapping in mappings[mapped:]:
            if mapping["requestName"] in others:
                mapping["requestName"] = most["name"]
        yield most
    yield from lasting.values()


def _request(
    container: Any, index: int, resource: str, class_: str, reusable: Sequence[Doc], mappings: list[Obj]
) -> Obj | None:
    """What a container needs beyond requests that it can use, and `mappings` for all of it."""

    def use(request: str) -> None:
        mappings.append({"containerName": container["name"], "resourceName": resource, "requestName": request})

    asked = in_units(container_amounts(container, "requests"))
    missing = asked.get(resource, 0)
    for request in reusable if missing else ():
        use(request["name"])
        missing -= request["exactly"]["count"]
        if missing <= 0:
            break
    if missing <= 0:
        return None
    name = f"container-{index}-request-{sorted(asked).index(resource)}"
    use(name)
    exactly = {"deviceClassName": class_, "allocationMode": "ExactCount", "count": missing}
    return {"name": name, "exactly": exactly}

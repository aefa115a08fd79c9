"""Slices, classes and claims for tests of the allocator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minik8s.scheduler.devices.allocator import Budget, NodeView, Pick, allocate
from minik8s.scheduler.devices.pools import gather_pools
from minik8s.scheduler.devices.requests import Wanted, read_claim
from minik8s.scheduler.devices.slices import Slice
from minik8s.scheduler.devices.usage import Usage

DRIVER = "gpu.example.com"


def device(name: str, **fields: Any) -> Any:
    """`attributes` and `capacity` are given by plain values."""
    kinds: dict[type, str] = {str: "string", int: "int", bool: "bool"}
    if "attributes" in fields:
        fields["attributes"] = {k: {kinds[type(v)]: v} for k, v in fields["attributes"].items()}
    if "capacity" in fields:
        fields["capacity"] = {k: v if isinstance(v, dict) else {"value": v} for k, v in fields["capacity"].items()}
    return {"name": name, **fields}


def offer(
    *devices: Any, name: str = "", node: str = "n", pool: str = "", generation: int = 1, count: int = 1, **spec: Any
) -> Any:
    """A ResourceSlice of one node, unless `spec` says for which nodes it is."""
    where = {} if {"nodeSelector", "allNodes", "perDeviceNodeSelection"} & spec.keys() else {"nodeName": node}
    pool = pool or node
    about = {"name": pool, "generation": generation, "resourceSliceCount": count}
    names = {"name": name or f"{pool}-{generation}"}
    spec = {"driver": DRIVER, "pool": about, "devices": list(devices), **where, **spec}
    return {"metadata": {**names, "resourceVersion": "1"}, "spec": spec}


def request(name: str = "r", **fields: Any) -> Any:
    return {"name": name, "exactly": {"deviceClassName": "gpu", **fields}}


def either(name: str, *choices: Any) -> Any:
    """A request with alternatives, each given by its name and fields."""
    return {"name": name, "firstAvailable": [{"name": n, "deviceClassName": "gpu", **f} for n, f in choices]}


def claim(*requests: Any, name: str = "c", status: Any = None, **devices: Any) -> Any:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": "1"}
    spec = {"devices": {"requests": list(requests), **devices}}
    return {"metadata": metadata, "spec": spec, **({"status": status} if status else {})}


def allocation(*results: tuple[str, str], **fields: Any) -> Any:
    """By pool and device."""
    found = [{"request": "r", "driver": DRIVER, "pool": p, "device": d, **fields} for p, d in results]
    return {"devices": {"results": found}}


def cel(expression: str) -> Any:
    return {"cel": {"expression": expression}}


CLASSES: dict[str, Any] = {
    "gpu": {"metadata": {"name": "gpu"}, "spec": {}},
    "own": {"metadata": {"name": "own"}, "spec": {"selectors": [cel(f'device.driver == "{DRIVER}"')]}},
    "broken": {"metadata": {"name": "broken"}, "spec": {"selectors": [cel("device.nope")]}},
}


def search(
    slices: Sequence[Any],
    *claims: Any,
    used: Any = None,
    node: str = "n",
    labels: Any = None,
    budget: Budget | None = None,
    classes: Any = None,
) -> tuple[list[Wanted], list[list[Pick]] | None]:
    """The claims as they were read, and what they get on a node, with `used` allocated already."""
    usage = Usage()
    if used is not None:
        usage.set("other", used)
    parsed = [Slice(each) for each in slices]
    siblings = {each.pool: [other for other in parsed if other.pool == each.pool] for each in parsed}
    near = [each for each in parsed if each.nodes.name in ("", node)]
    view = NodeView(node, labels or {}, gather_pools(near, siblings, node, labels or {}))
    wanted = [read_claim(each, {**CLASSES, **(classes or {})}.get) for each in claims]
    return wanted, allocate(wanted, view, usage, budget or Budget())


def got(slices: Sequence[Any], *claims: Any, **world: Any) -> list[str] | None:
    """What the claims get as text: request and device."""
    _, found = search(slices, *claims, **world)
    return None if found is None else [f"{p.request.full_name} {p.device.id.device}" for c in found for p in c]

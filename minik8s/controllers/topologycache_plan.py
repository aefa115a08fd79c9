"""Hints of Services with topology-mode Auto: each zone is to be served by as many endpoints as it has of all CPUs.

An endpoint is meant for its own zone to begin with; zones with more than their share give some to those with less.
There are no hints at all where a zone would be overloaded by more than a fifth, or where too little is known of nodes
and endpoints; an Event says which. Slices that do not change keep the hints they have as long as these leave everybody
his share. Pure. Upstream: `k8s.io/endpointslice/topologycache`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from minik8s.api.nodes import ZONE
from minik8s.machinery.meta import Doc, Obj, annotations_of, find_condition, labels_of
from minik8s.machinery.quantity import parse_quantity

OVERLOAD = 0.2
"""By how much more than its share an endpoint may get (overloadThreshold)."""
ANNOTATIONS = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
_EXCLUDED = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_NO_ZONE = "One or more endpoints do not have a zone specified"
_NODES = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
_FEW = "Insufficient number of endpoints"
_OVERLOADED = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"

Ratios = Mapping[str, float]
"""Zone -> its part of all CPUs."""
Event = tuple[str, str, str]
"""Type, reason, message."""


def is_auto(service: Doc) -> bool:
    """Whether a Service asks for these hints; the newer of two annotations counts."""
    annotations = annotations_of(service)
    mode = next((annotations[name] for name in ANNOTATIONS if name in annotations), "")
    return mode in ("Auto", "auto")


def enabled(family: str) -> Event:
    return "Normal", "TopologyAwareHintsEnabled", f"Topology Aware Hints has been enabled, addressType: {family}"


def disabled(family: str, why: str = "Topology Aware Hints has been disabled") -> Event:
    return "Warning", "TopologyAwareHintsDisabled", f"{why}, addressType: {family}"


def counts(node: Doc) -> str | None:
    """The zone of a node that is ready and not for the control plane ("": it does not say); None for others."""
    labels, status = labels_of(node), node.get("status") or {}
    ready = (find_condition(status.get("conditions"), "Ready") or {}).get("status") == "True"
    return labels.get(ZONE, "") if ready and not any(label in labels for label in _EXCLUDED) else None


def cpu_ratios(nodes: Iterable[Doc]) -> Ratios | None:
    """The zones' parts of the CPUs of ready nodes; None if one does not say its zone or CPUs, or for a single zone."""
    cpus: Counter[str] = Counter()
    for node in nodes:
        if (zone := counts(node)) is None:
            continue
        cpu = (node["status"].get("allocatable") or {}).get("cpu")
        milli = parse_quantity(cpu).milli() if cpu is not None else 0
        if not zone or not milli:
            return None
        cpus[zone] += milli
    total = sum(cpus.values())
    return {zone: milli / total for zone, milli in cpus.items()} if len(cpus) > 1 else None


def is_overloaded(zones: Mapping[str, int], ratios: Ratios | None) -> bool:
    """Whether endpoints that are allotted to zones like this leave one of them with too few."""
    if not zones:
        return False
    total = sum(zones.values())
    return not ratios or any(zone not in zones or zones[zone] < _least(total * r) for zone, r in ratios.items())


def _least(desired: float) -> int:
    return math.ceil(desired * (1 / (1 + OVERLOAD)))


@attrs.frozen
class _Share:
    """How many endpoints a zone is to have."""

    desired: float
    most: int


def _shares(ratios: Ratios | None, endpoints: int) -> dict[str, _Share] | str:
    """Of every zone, or why not."""
    if not ratios:
        return _NODES
    counts = f"({endpoints} endpoints, {len(ratios)} zones)"
    if len(ratios) > endpoints:
        return f"{_FEW} {counts}"
    least = {zone: _least(ratio * endpoints) for zone, ratio in ratios.items()}
    if (spare := endpoints - sum(least.values())) < 0:
        return f"{_OVERLOADED} {counts}"
    return {z: _Share(max(ratio * endpoints, least[z]), least[z] + spare) for z, ratio in ratios.items()}


@attrs.frozen
class Hinted:
    """`slices` are those to write, with hints; `updated` are of those that were to stay. `zones` counts endpoints that
    are meant for each zone, None if there are no hints: then `why` says so."""

    slices: list[Obj]
    updated: list[Obj]
    zones: Mapping[str, int] | None
    why: str = ""


def add_hints(slices: Sequence[Obj], unchanged: Sequence[Doc], ratios: Ratios | None) -> Hinted:
    """Hints for `slices`, which are written anyhow, and for those of `unchanged` whose own do not do any more."""
    ready = sum(_is_ready(e) for slice_ in (*slices, *unchanged) for e in slice_.get("endpoints") or ())
    shares = _shares(ratios, ready)
    if isinstance(shares, str):
        return _without(slices, unchanged, shares)
    zones: Counter[str] = Counter()
    stale = [slice_ for slice_ in unchanged if not _keep(slice_, shares, zones)]
    rewritten = [*slices, *stale]
    if any(_is_ready(e) and not e.get("zone") for slice_ in rewritten for e in slice_.get("endpoints") or ()):
        return _without(slices, unchanged, _NO_ZONE)
    zones.update(e["zone"] for slice_ in rewritten for e in slice_.get("endpoints") or () if _is_ready(e))
    giving, receiving = _exchange(shares, zones)
    made: list[Obj] = []
    for slice_ in rewritten:
        endpoints = [_hinted(endpoint, giving, receiving, zones) for endpoint in slice_.get("endpoints") or ()]
        made.append({**slice_, "endpoints": endpoints})
    moved = [new for new, old in zip(made[len(slices) :], stale, strict=True) if new != old]
    return Hinted(made[: len(slices)], moved, +zones)


def _keep(slice_: Doc, shares: Mapping[str, _Share], zones: Counter[str]) -> bool:
    """Adds a slice's hints to `zones` if they are valid and leave the other zones what they need at least."""
    own: Counter[str] = Counter()
    for endpoint in slice_.get("endpoints") or ():
        if not _is_ready(endpoint):
            continue
        names = [hint["name"] for hint in (endpoint.get("hints") or {}).get("forZones") or ()]
        if not names or any(name not in shares for name in names):
            return False
        own.update(names)
    if any(zones[zone] + count > shares[zone].most for zone, count in own.items()):
        return False
    zones.update(own)
    return True


def _exchange(shares: Mapping[str, _Share], zones: Mapping[str, int]) -> tuple[Counter[str], Counter[str]]:
    """How many endpoints each zone gives to others, and gets from them."""
    surplus = {zone: zones[zone] - share.desired for zone, share in shares.items() if zones[zone] > share.desired}
    lack = {zone: share.desired - zones[zone] for zone, share in shares.items() if zones[zone] < share.desired}
    giving: Counter[str] = Counter()
    receiving: Counter[str] = Counter()
    while surplus and lack:
        giver, taker = (max(sorted(of), key=lambda zone: of[zone]) for of in (surplus, lack))
        if max(surplus[giver], lack[taker]) < 1 or min(surplus[giver], lack[taker]) < 0.5:
            break
        giving[giver] += 1
        surplus[giver] -= 1
        receiving[taker] += 1
        lack[taker] -= 1
    return giving, receiving


def _hinted(endpoint: Obj, giving: Counter[str], receiving: Counter[str], zones: Counter[str]) -> Obj:
    """The endpoint, meant for its own zone or for one that needs it; the counts move with it."""
    bare = {key: value for key, value in endpoint.items() if key != "hints"}
    if not _is_ready(endpoint):
        return bare
    zone = endpoint["zone"]
    taker = next((name for name in sorted(receiving) if receiving[name]), None) if giving[zone] else None
    if taker is not None:
        giving[zone] -= 1
        receiving[taker] -= 1
        zones[zone] -= 1
        zones[taker] += 1
        zone = taker
    return {**bare, "hints": {"forZones": [{"name": zone}]}}


def _without(slices: Sequence[Obj], unchanged: Sequence[Doc], why: str) -> Hinted:
    updated = [without_hints(s) for s in unchanged if any("hints" in e for e in s.get("endpoints") or ())]
    return Hinted([without_hints(slice_) for slice_ in slices], updated, None, why)


def without_hints(slice_: Doc) -> Obj:
    endpoints = [{k: v for k, v in e.items() if k != "hints"} for e in slice_.get("endpoints") or ()]
    return {**slice_, "endpoints": endpoints}


def _is_ready(endpoint: Doc) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is True

"""The status of a ResourceClaim: what was allocated, for whom, and what drivers say about it.

Upstream: `ValidateResourceClaimStatusUpdate` in pkg/apis/resource/validation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.validation.common import IMMUTABLE, Causes, named
from minik8s.api.validation.devices import (
    MAX_CONFIGS,
    MAX_REQUESTS,
    Requests,
    each,
    request_names,
    validate_binding_conditions,
    validate_configuration,
    validate_device_toleration,
    validate_driver,
    validate_pool,
    validate_raw,
    validate_reference,
    validate_references,
)
from minik8s.api.validation.scheduling import validate_node_selector
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, not_supported, required, too_long, too_many
from minik8s.machinery.meta import Doc

Part = Mapping[str, Any]

MAX_CONSUMERS, _MAX_CONDITIONS, _MAX_IPS, _MAX_INTERFACE, _MAX_HARDWARE = 256, 8, 16, 256, 128
_SOURCES = ("FromClaim", "FromClass")
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def validate_claim_status(claim: Doc, old: Doc) -> Causes:
    """A write to /status of a ResourceClaim."""
    status, before = claim.get("status") or {}, old.get("status") or {}
    consumers, allocation = status.get("reservedFor") or (), status.get("allocation")
    yield from each(consumers, "status.reservedFor", MAX_CONSUMERS, _consumer, "uid")
    yield from _device_statuses(status.get("devices") or (), allocation or {})
    if consumers and allocation is None:
        yield forbidden("status.reservedFor", "may not be specified when `allocated` is not set")
    known = before.get("reservedFor") or ()
    if allocation is not None and "deletionTimestamp" in claim["metadata"] and any(c not in known for c in consumers):
        detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        yield forbidden("status.reservedFor", detail)
    if allocation is None:
        return
    if before.get("allocation") is None:
        yield from _allocation(allocation, request_names((claim.get("spec") or {}).get("devices") or {}))
    elif allocation != before["allocation"]:
        yield invalid("status.allocation", allocation, IMMUTABLE)


def _consumer(reference: Part, path: str) -> Causes:
    for field in ("resource", "name", "uid"):
        if not reference.get(field):
            yield required(f"{path}.{field}")


def _allocation(allocation: Part, known: Requests) -> Causes:
    path, devices = "status.allocation", allocation.get("devices") or {}
    yield from each(
        devices.get("results") or (),
        f"{path}.devices.results",
        MAX_REQUESTS,
        lambda item, place: _result(item, place, known),
    )
    yield from each(
        devices.get("config") or (),
        f"{path}.devices.config",
        2 * MAX_CONFIGS,
        lambda item, place: _configuration(item, place, known),
    )
    if (selector := allocation.get("nodeSelector")) is not None:
        yield from validate_node_selector(selector, f"{path}.nodeSelector")


def _result(result: Part, path: str, known: Requests) -> Causes:
    yield from validate_reference(result.get("request", ""), f"{path}.request", known)
    yield from _device_name(result, path)
    yield from validate_binding_conditions(result, path)
    for index, toleration in enumerate(result.get("tolerations") or ()):
        yield from validate_device_toleration(toleration, f"{path}.tolerations[{index}]")
    yield from _share(result, path)


def _device_name(part: Part, path: str) -> Causes:
    yield from validate_driver(part.get("driver", ""), f"{path}.driver")
    yield from validate_pool(part.get("pool", ""), f"{path}.pool")
    yield from named(part.get("device", ""), f"{path}.device", names.dns1123_label)


def _share(part: Part, path: str) -> Causes:
    share = part.get("shareID")
    if share is not None and not _UID.fullmatch(share):
        detail = (
            "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase "
            "hexadecimal characters"
        )
        yield invalid(f"{path}.shareID", share, detail)


def _configuration(configuration: Part, path: str, known: Requests) -> Causes:
    source = configuration.get("source")
    if not source:
        yield required(f"{path}.source")
    elif source not in _SOURCES:
        yield not_supported(f"{path}.source", source, _SOURCES)
    yield from validate_references(configuration.get("requests") or (), f"{path}.requests", known)
    yield from validate_configuration(configuration, path)


def _identity(device: Part) -> tuple[Any, ...]:
    return tuple(device.get(field) or "" for field in ("driver", "pool", "device", "shareID"))


def _device_statuses(devices: Sequence[Part], allocation: Part) -> Causes:
    allocated = {_identity(result) for result in (allocation.get("devices") or {}).get("results") or ()}
    seen = set()
    for index, device in enumerate(devices):
        path, identity = f"status.devices[{index}]", _identity(device)
        yield from _device_name(device, path)
        yield from _share(device, path)
        shown = "/".join(part for part in identity if part)
        if identity not in allocated:
            yield invalid(path, shown, "must be an allocated device in the claim")
        if identity in seen:
            yield duplicate(path, shown)
        seen.add(identity)
        conditions = device.get("conditions") or ()
        if len(conditions) > _MAX_CONDITIONS:
            yield too_many(f"{path}.conditions", len(conditions), _MAX_CONDITIONS)
        if device.get("data") is not None:
            yield from validate_raw(device["data"], f"{path}.data")
        if (network := device.get("networkData")) is not None:
            yield from _network(network, f"{path}.networkData")


def _network(network: Part, path: str) -> Causes:
    for field, limit in (("interfaceName", _MAX_INTERFACE), ("hardwareAddress", _MAX_HARDWARE)):
        if len(network.get(field, "").encode()) > limit:
            yield too_long(f"{path}.{field}", limit)
    addresses = network.get("ips") or ()
    yield from each(addresses, f"{path}.ips", _MAX_IPS, lambda ip, place: named(ip, place, names.cidr), "")

"""The devices that a ResourceSlice offers. Upstream: pkg/apis/resource/validation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.validation.common import Causes, named, required_name
from minik8s.api.validation.devices import (
    each,
    refuse_policy,
    validate_binding_conditions,
    validate_device_taint,
    validate_driver,
    validate_pool,
    validate_qualified,
)
from minik8s.api.validation.scheduling import validate_node_selector
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, required, too_long, too_many
from minik8s.machinery.quantity import Quantity, parse_quantity

Part = Mapping[str, Any]

MAX_DEVICES, MAX_ADVANCED_DEVICES = 128, 64
"""Devices in a slice; fewer when any is tainted or consumes counters."""
MAX_COUNTER_SETS, MAX_COUNTERS, MAX_CONSUMPTIONS, MAX_TAINTS = 8, 32, 2, 16
MAX_PROPERTIES, MAX_VALUE, MAX_OPTIONS = 32, 64, 10
_SELECTIONS = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_ONE_SELECTION = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_ONE_OF_DEVICE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to "
    "true in the ResourceSlice spec"
)
_NONE_OF_DEVICE = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the "
    "ResourceSlice spec"
)
_NUMBER = r"(0|[1-9][0-9]*)"
_PRERELEASE = r"(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = r"[0-9a-zA-Z-]+"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRERELEASE}(\.{_PRERELEASE})*)?(\+{_BUILD}(\.{_BUILD})*)?")


def validate_slice(spec: Part) -> Causes:
    yield from validate_driver(spec.get("driver", ""), "spec.driver")
    pool = spec.get("pool") or {}
    yield from validate_pool(pool.get("name", ""), "spec.pool.name")
    if pool.get("resourceSliceCount", 0) <= 0:
        yield invalid("spec.pool.resourceSliceCount", pool.get("resourceSliceCount", 0), "must be greater than zero")
    if pool.get("generation", 0) < 0:
        yield invalid("spec.pool.generation", pool["generation"], "must be greater than or equal to zero")
    yield from _node_selection(spec)
    devices, counters = spec.get("devices"), spec.get("sharedCounters")
    if devices and counters:
        yield invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed")
    advanced = any(device.get("taints") or device.get("consumesCounters") for device in devices or ())
    limit, own = MAX_ADVANCED_DEVICES if advanced else MAX_DEVICES, bool(spec.get("perDeviceNodeSelection"))
    yield from each(devices or (), "spec.devices", limit, lambda item, path: _device(item, path, own), "name")
    yield from each(counters or (), "spec.sharedCounters", MAX_COUNTER_SETS, _counter_set, "name")


def _node_selection(spec: Part) -> Causes:
    given = []
    for field in _SELECTIONS:
        value, path = spec.get(field), f"spec.{field}"
        if value is None:
            continue
        if value:
            given.append(f"`{field}`")
        if field == "nodeName":
            if value:
                yield from named(value, path, names.dns1123_subdomain)
            else:
                yield invalid(path, value, "must be either unset or set to a non-empty string")
        elif field == "nodeSelector":
            yield from _one_term(value, path)
        elif not value:
            yield invalid(path, value, "must be either unset or set to true")
    if not given:
        yield required("spec", _ONE_SELECTION)
    elif len(given) > 1:
        yield invalid("spec", f"{{{', '.join(given)}}}", f"{_ONE_SELECTION}, but multiple fields are set")


def _one_term(selector: Part, path: str) -> Causes:
    yield from validate_node_selector(selector, path)
    terms = selector.get("nodeSelectorTerms") or ()
    if len(terms) != 1:
        yield invalid(f"{path}.nodeSelectorTerms", list(terms), "must have exactly one node selector term")


def _counter_set(counters: Part, path: str) -> Causes:
    yield from required_name(counters.get("name"), f"{path}.name", names.dns1123_label)
    yield from _counters(counters.get("counters") or {}, f"{path}.counters")


def _consumption(consumption: Part, path: str) -> Causes:
    yield from required_name(consumption.get("counterSet"), f"{path}.counterSet", names.dns1123_label)
    yield from _counters(consumption.get("counters") or {}, f"{path}.counters")


def _counters(counters: Part, path: str) -> Causes:
    if not counters:
        yield required(path)
    if len(counters) > MAX_COUNTERS:
        yield too_many(path, len(counters), MAX_COUNTERS)
    for name in counters:
        yield from named(name, f"{path}[{name}]", names.dns1123_label)


def _device(device: Part, path: str, selects_nodes: bool) -> Causes:
    yield from named(device.get("name", ""), f"{path}.name", names.dns1123_label)
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    count = len(attributes) + len(capacity)
    if count > MAX_PROPERTIES:
        detail = f"the total number of attributes and capacities must not exceed {MAX_PROPERTIES}"
        yield invalid(path, count, detail)
    for name, attribute in attributes.items():
        yield from validate_qualified(name, f"{path}.attributes[{name}]")
        yield from _attribute(attribute, f"{path}.attributes[{name}]")
    check = _shared_capacity if device.get("allowMultipleAllocations") else refuse_policy
    for name, amount in capacity.items():
        yield from validate_qualified(name, f"{path}.capacity[{name}]")
        yield from check(amount, f"{path}.capacity[{name}]")
    yield from each(device.get("taints") or (), f"{path}.taints", MAX_TAINTS, validate_device_taint)
    consumed = device.get("consumesCounters") or ()
    yield from each(consumed, f"{path}.consumesCounters", MAX_CONSUMPTIONS, _consumption, "counterSet")
    yield from _device_nodes(device, path, selects_nodes)
    yield from validate_binding_conditions(device, path)


def _device_nodes(device: Part, path: str, selects_nodes: bool) -> Causes:
    fields = [field for field in _SELECTIONS[:3] if device.get(field) is not None]
    if not selects_nodes:
        if fields:
            yield invalid(path, None, _NONE_OF_DEVICE)
        return
    given = [f"`{field}`" for field in fields if device[field]]
    if (name := device.get("nodeName")) == "":
        yield invalid(f"{path}.nodeName", name, "must not be empty")
    elif name:
        yield from named(name, f"{path}.nodeName", names.dns1123_subdomain)
    if (selector := device.get("nodeSelector")) is not None:
        yield from validate_node_selector(selector, f"{path}.nodeSelector")
    if device.get("allNodes") is False:
        yield invalid(f"{path}.allNodes", False, "must be either unset or set to true")
    if not given:
        yield required(path, _ONE_OF_DEVICE)
    elif len(given) > 1:
        yield invalid(path, f"{{{', '.join(given)}}}", _ONE_OF_DEVICE)


def _attribute(attribute: Part, path: str) -> Causes:
    for field in ("string", "version"):
        if (value := attribute.get(field)) is None:
            continue
        if field == "version" and not _SEMVER.fullmatch(value):
            yield invalid(f"{path}.version", value, "must be a string compatible with semver.org spec 2.0.0")
        if len(value.encode()) > MAX_VALUE:
            yield too_long(f"{path}.{field}", MAX_VALUE)
    if len(attribute) != 1:
        yield invalid(path, dict(attribute) or "", "exactly one value must be specified")


def _shared_capacity(capacity: Part, path: str) -> Causes:
    policy, path = capacity.get("requestPolicy"), f"{path}.requestPolicy"
    if policy is None:
        return
    values, span, default = policy.get("validValues") or (), policy.get("validRange"), policy.get("default")
    whole = parse_quantity(capacity.get("value", "0"))
    if values and span is not None:
        detail = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
        yield forbidden(path, detail)
    elif values and default is None:
        yield required(f"{path}.default", "required when validValues is defined")
    elif values:
        yield from _options([parse_quantity(v) for v in values], parse_quantity(default), whole, f"{path}.validValues")
    elif span is not None and default is None:
        yield required(f"{path}.default", "required when validRange is defined")
    elif span is not None:
        yield from _range(span, parse_quantity(default), whole, f"{path}.validRange")


def _options(values: Sequence[Quantity], default: Quantity, whole: Quantity, path: str) -> Causes:
    for index in range(1, len(values)):
        if values[index] < values[index - 1]:
            yield invalid(f"{path}[{index}]", str(values[index]), "values must be sorted in ascending order")
    if len(values) > MAX_OPTIONS:
        yield too_many(path, len(values), MAX_OPTIONS)
    for index, value in enumerate(values):
        if value > whole:
            yield invalid(f"{path}[{index}]", str(value), f"option is larger than capacity value: {whole}")
    for index, value in enumerate(values):
        if value in values[:index]:
            yield duplicate(f"{path}[{index}]", str(value))
    if default not in values:
        yield invalid(path, str(default), "default value is not valid according to the requestPolicy")


def _range(span: Part, default: Quantity, whole: Quantity, path: str) -> Causes:
    if span.get("min") is None:
        yield required(f"{path}.min", "required when validRange is defined")
        return
    low = parse_quantity(span["min"])
    high = parse_quantity(span["max"]) if span.get("max") is not None else None
    if low > whole:
        yield invalid(f"{path}.min", str(low), f"min is larger than capacity value: {whole}")
    if default < low:
        yield invalid(f"{path}.default", str(default), f"default is less than min: {low}")
    if high is None:
        return
    if low > high:
        yield invalid(f"{path}.min", str(low), f"min is larger than max: {high}")
    if high > whole:
        yield invalid(f"{path}.max", str(high), f"max is larger than capacity value: {whole}")
    if default > high:
        yield invalid(f"{path}.default", str(default), f"default is more than max: {high}")

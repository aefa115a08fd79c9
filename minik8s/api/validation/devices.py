"""What a ResourceClaim and a DeviceClass ask for. Upstream: pkg/apis/resource/validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from minik8s.api.devices import compile_selector
from minik8s.api.validation.common import Causes, named, required_name
from minik8s.cel import CompileError
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, not_supported, required, too_long, too_many

Part = Mapping[str, Any]
Requests = Mapping[str, frozenset[str]]
"""The name of each request of a claim, with those of its subrequests."""

MAX_REQUESTS, MAX_CONSTRAINTS, MAX_CONFIGS, MAX_SELECTORS, MAX_CHOICES = 32, 32, 32, 32, 8
_MAX_EXPRESSION = MAX_DATA = 10 * 1024
MAX_DRIVER, _MAX_IDENTIFIER, _MAX_POOL, _MAX_CONDITIONS = 63, 32, 253, 4
_MODES = ("All", "ExactCount")
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_ONE_REQUEST = "exactly one of `exactly` or `firstAvailable` is required"
_ONE_CONSTRAINT = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
_REQUEST_REFERENCE = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)
_HIDDEN = "<value omitted>"


def each(
    items: Sequence[Any], path: str, limit: int, check: Callable[[Any, str], Causes], key: str | None = None
) -> Causes:
    """A list of limited length; with `key` no two items may have that field's value in common ("" for themselves)."""
    if len(items) > limit:
        yield too_many(path, len(items), limit)
    for index, item in enumerate(items):
        yield from check(item, f"{path}[{index}]")
    seen = set()
    for index, item in enumerate(items if key is not None else ()):
        value = item.get(key) if key else item
        if value in seen:
            yield duplicate(f"{path}[{index}]", value)
        seen.add(value)


def request_names(claim: Part) -> Requests:
    """The requests that the rest of a claim, and its allocation, may refer to."""
    return {
        request.get("name", ""): frozenset(sub.get("name", "") for sub in request.get("firstAvailable") or ())
        for request in claim.get("requests") or ()
    }


def validate_claim(claim: Part, path: str) -> Causes:
    """A DeviceClaim: what a ResourceClaim's spec consists of."""
    known = request_names(claim)
    yield from each(claim.get("requests") or (), f"{path}.requests", MAX_REQUESTS, _request, "name")
    yield from each(
        claim.get("constraints") or (),
        f"{path}.constraints",
        MAX_CONSTRAINTS,
        lambda item, place: _constraint(item, place, known),
    )
    yield from each(
        claim.get("config") or (),
        f"{path}.config",
        MAX_CONFIGS,
        lambda item, place: _claim_configuration(item, place, known),
    )


def _request(request: Part, path: str) -> Causes:
    yield from named(request.get("name", ""), f"{path}.name", names.dns1123_label)
    exactly, choices = request.get("exactly"), request.get("firstAvailable") or ()
    if exactly is None and not choices:
        yield required(path, _ONE_REQUEST)
    elif exactly is not None and choices:
        yield invalid(path, None, f"{_ONE_REQUEST}, but multiple fields are set")
    elif exactly is not None:
        yield from _wanted(exactly, f"{path}.exactly")
    else:
        yield from each(choices, f"{path}.firstAvailable", MAX_CHOICES, _choice, "name")


def _choice(request: Part, path: str) -> Causes:
    yield from named(request.get("name", ""), f"{path}.name", names.dns1123_label)
    yield from _wanted(request, path)


def _wanted(request: Part, path: str) -> Causes:
    yield from required_name(request.get("deviceClassName"), f"{path}.deviceClassName", names.dns1123_subdomain)
    yield from validate_selectors(request.get("selectors") or (), f"{path}.selectors")
    mode, count = request.get("allocationMode", ""), request.get("count", 0)
    if mode == "All" and count:
        yield invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount" and count <= 0:
        yield invalid(f"{path}.count", count, "must be greater than zero")
    elif mode not in _MODES:
        yield not_supported(f"{path}.allocationMode", mode, _MODES)
    for index, toleration in enumerate(request.get("tolerations") or ()):
        yield from validate_device_toleration(toleration, f"{path}.tolerations[{index}]")


def validate_selectors(selectors: Sequence[Part], path: str) -> Causes:
    """DeviceSelectors, whose expressions must compile, and be of limited length."""
    return each(selectors, path, MAX_SELECTORS, _selector)


def _selector(selector: Part, path: str) -> Causes:
    if (cel := selector.get("cel")) is None:
        yield required(f"{path}.cel")
    elif len((expression := cel.get("expression", "")).encode()) > _MAX_EXPRESSION:
        yield too_long(f"{path}.cel.expression", _MAX_EXPRESSION)
    else:
        try:
            compile_selector(expression)
        except CompileError as error:
            yield invalid(f"{path}.cel.expression", expression, str(error))


def _constraint(constraint: Part, path: str, known: Requests) -> Causes:
    yield from validate_references(constraint.get("requests") or (), f"{path}.requests", known)
    for field in ("matchAttribute", "distinctAttribute"):
        if (name := constraint.get(field)) is not None:
            yield from _fully_qualified(name, f"{path}.{field}")
            return
    yield required(path, _ONE_CONSTRAINT)


def _claim_configuration(configuration: Part, path: str, known: Requests) -> Causes:
    yield from validate_references(configuration.get("requests") or (), f"{path}.requests", known)
    yield from validate_configuration(configuration, path)


def validate_references(references: Sequence[str], path: str, known: Requests) -> Causes:
    """Names of requests or `request/subrequest`."""
    return each(references, path, MAX_REQUESTS, lambda name, place: validate_reference(name, place, known), "")


def validate_reference(name: str, path: str, known: Requests) -> Causes:
    segments = name.split("/")
    if len(segments) > 2:
        yield invalid(path, name, _REQUEST_REFERENCE)
        return
    for segment in segments:
        yield from named(segment, path, names.dns1123_label)
    choices = known.get(segments[0])
    if choices is None or (len(segments) == 2 and segments[1] not in choices):
        yield invalid(path, name, _REQUEST_REFERENCE)


def validate_configuration(configuration: Part, path: str) -> Causes:
    """A DeviceConfiguration: parameters that only a driver understands."""
    if (opaque := configuration.get("opaque")) is None:
        yield required(f"{path}.opaque")
        return
    yield from validate_driver(opaque.get("driver", ""), f"{path}.opaque.driver")
    yield from validate_raw(opaque.get("parameters"), f"{path}.opaque.parameters")


def validate_raw(value: object, path: str) -> Causes:
    """Some JSON object of limited size."""
    if value is None:
        yield required(path)
    elif len(orjson.dumps(value)) > MAX_DATA:
        yield too_long(path, MAX_DATA)
    elif not isinstance(value, Mapping):
        yield invalid(path, _HIDDEN, "must be a JSON object")


def validate_driver(name: str, path: str) -> Causes:
    """A driver's name: a short subdomain in any case."""
    if not name:
        yield required(path)
        return
    if len(name) > MAX_DRIVER:
        yield too_long(path, MAX_DRIVER)
    for text in names.dns1123_subdomain(name.lower()):
        yield invalid(path, name, text)


def validate_pool(name: str, path: str) -> Causes:
    """A pool's name: subdomains, separated by slashes."""
    if not name:
        yield required(path)
        return
    if len(name) > _MAX_POOL:
        yield too_long(path, _MAX_POOL)
    for part in name.split("/"):
        yield from named(part, path, names.dns1123_subdomain)


def validate_qualified(name: str, path: str) -> Causes:
    """The name of an attribute or capacity: a C identifier, with or without a domain."""
    domain, slash, identifier = name.partition("/")
    if not name:
        yield required(path, "name required")
    elif not slash:
        yield from _identifier(name, path)
    elif "/" in identifier:
        yield invalid(path, name, "must not contain more than one slash")
    else:
        if domain:
            yield from validate_driver(domain, path)
        else:
            yield required(path, "the domain must not be empty")
        if identifier:
            yield from _identifier(identifier, path)
        else:
            yield required(path, "the name must not be empty")


def _fully_qualified(name: str, path: str) -> Causes:
    if name and "/" not in name:
        yield invalid(path, name, "must include a domain")
    yield from validate_qualified(name, path)


def _identifier(name: str, path: str) -> Causes:
    yield from named(name, path, names.c_identifier)
    if len(name) > _MAX_IDENTIFIER:
        yield too_long(path, _MAX_IDENTIFIER)


def validate_device_toleration(toleration: Part, path: str) -> Causes:
    key, operator, value = (toleration.get(field, "") for field in ("key", "operator", "value"))
    if key:
        yield from named(key, f"{path}.key", names.qualified_name)
    if operator == "Exists":
        if value:
            yield invalid(f"{path}.value", value, "must be empty for operator `Exists`")
    elif operator == "Equal":
        yield from named(value, f"{path}.value", names.label_value)
    elif not operator:
        yield required(f"{path}.operator")
    else:
        yield not_supported(f"{path}.operator", operator, ("Equal", "Exists"))
    effect = toleration.get("effect")
    if effect and effect not in _EFFECTS:
        yield not_supported(f"{path}.effect", effect, _EFFECTS)


def validate_device_taint(taint: Part, path: str) -> Causes:
    yield from named(taint.get("key", ""), f"{path}.key", names.qualified_name)
    if value := taint.get("value"):
        yield from named(value, f"{path}.value", names.label_value)
    if not (effect := taint.get("effect")):
        yield required(f"{path}.effect")
    elif effect not in _EFFECTS:
        yield not_supported(f"{path}.effect", effect, _EFFECTS)


def validate_binding_conditions(part: Part, path: str) -> Causes:
    """The conditions that a device waits for, and those that end the waiting."""
    awaited, failures = part.get("bindingConditions") or (), part.get("bindingFailureConditions") or ()
    yield from each(awaited, f"{path}.bindingConditions", _MAX_CONDITIONS, _condition)
    yield from each(failures, f"{path}.bindingFailureConditions", _MAX_CONDITIONS, _condition)
    if failures and not awaited:
        detail = "bindingConditions are required to use bindingFailureConditions"
        yield invalid(f"{path}.bindingConditions", list(awaited), detail)
    elif awaited and not failures:
        detail = "bindingFailureConditions are required to use bindingConditions"
        yield invalid(f"{path}.bindingFailureConditions", list(failures), detail)
    for index, name in enumerate(failures):
        if name in awaited:
            place = f"{path}.bindingFailureConditions[{index}]"
            yield invalid(place, name, "bindingFailureConditions must not overlap with bindingConditions")


def _condition(name: str, path: str) -> Iterator[Any]:
    return named(name, path, names.qualified_name)


def refuse_policy(capacity: Part, path: str) -> Causes:
    """A device that is allocated as a whole has no policy about its parts."""
    if capacity.get("requestPolicy") is not None:
        yield forbidden(f"{path}.requestPolicy", "allowMultipleAllocations must be true")

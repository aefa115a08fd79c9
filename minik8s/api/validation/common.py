"""The smallest rules: numbers, closed strings, names, paths, uniqueness, immutability."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, TypeAlias

from minik8s.api.strategy import NameRule
from minik8s.machinery import names
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import duplicate, forbidden, invalid, not_supported, required
from minik8s.machinery.intorstring import percentage

Causes: TypeAlias = Iterator[StatusCause]

NOT_NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"
MAX_INT32 = 2**31 - 1
MAX_ANNOTATIONS = 256 * 1024
"""Bytes, keys and values of all annotations together."""


def named(value: str, path: str, rule: NameRule) -> Causes:
    """A value that must follow a name rule."""
    for text in rule(value):
        yield invalid(path, value, text)


def required_name(value: str | None, path: str, rule: NameRule) -> Causes:
    """A value that must be there and follow a name rule."""
    if not value:
        yield required(path)
    else:
        yield from named(value, path, rule)


def required_fields(obj: Mapping[str, Any], path: str, *fields: str) -> Causes:
    """Fields that must be there and not be empty."""
    for name in fields:
        if not obj.get(name):
            yield required(f"{path}.{name}")


def one_of(value: str | None, path: str, supported: Sequence[str], *, optional: bool = False) -> Causes:
    """A closed string; `supported` is listed in the order given."""
    if value in supported or (optional and value is None):
        return
    if not value:
        yield required(path)
    else:
        yield not_supported(path, value, supported)


def non_negative(obj: Mapping[str, Any], path: str, *fields: str) -> Causes:
    for name in fields:
        if (value := obj.get(name)) is not None and value < 0:
            yield invalid(f"{path}.{name}", value, NOT_NEGATIVE)


def in_range(value: int | None, path: str, low: int, high: int) -> Causes:
    if value is not None and not low <= value <= high:
        yield invalid(path, value, f"must be between {low} and {high}, inclusive")


def int_or_percent(value: int | str | None, path: str) -> Causes:
    """A number that is not negative, or a percentage."""
    if isinstance(value, str):
        yield from named(value, path, names.percent)
    elif value is not None and value < 0:
        yield invalid(path, value, NOT_NEGATIVE)


def at_most_all(value: int | str | None, path: str) -> Causes:
    """A percentage of no more than a hundred."""
    if isinstance(value, str) and not names.percent(value) and (percentage(value) or 0) > 100:
        yield invalid(path, value, "must not be greater than 100%")


def port(value: int | str | None, path: str) -> Causes:
    """A port's number or name."""
    if isinstance(value, str):
        yield from named(value, path, names.port_name)
    else:
        for text in names.port_number(value or 0):
            yield invalid(path, value or 0, text)


def unique(values: Iterable[tuple[str, Any]]) -> Causes:
    """(path, value) pairs, of which no value may come twice."""
    seen = set()
    for path, value in values:
        if value in seen:
            yield duplicate(path, value)
        seen.add(value)


def unchanged(new: Any, old: Any, path: str, detail: str = IMMUTABLE) -> Causes:
    if new != old:
        yield invalid(path, new, detail)


def relative_path(value: str, path: str) -> Causes:
    """A path below some root: relative and without `..`."""
    if value.startswith("/"):
        yield invalid(path, value, "must be a relative path")
    yield from no_backsteps(value, path)


def no_backsteps(value: str, path: str) -> Causes:
    if ".." in value.split("/"):
        yield invalid(path, value, "must not contain '..'")


def file_path(value: str, path: str) -> Causes:
    """A relative path of a file in a volume that is written atomically: `..data` and the like are taken."""
    yield from relative_path(value, path)
    if value.startswith("..") and not value.startswith("../") and value != "..":
        yield invalid(path, value, "must not start with '..'")


def validate_labels(values: Mapping[str, str] | None, path: str) -> Causes:
    """A label map. All its errors name the map, not the key."""
    for key, value in (values or {}).items():
        yield from named(key, path, names.qualified_name)
        yield from named(value, path, names.label_value)


def validate_annotations(values: Mapping[str, str] | None, path: str) -> Causes:
    """An annotation map: keys like labels', in any case; the whole of limited size."""
    size = 0
    for key, value in (values or {}).items():
        yield from named(key.lower(), path, names.qualified_name)
        size += len(key.encode()) + len(value.encode())
    if size > MAX_ANNOTATIONS:
        yield StatusCause("FieldValueTooLong", f"Too long: may not be more than {MAX_ANNOTATIONS} bytes", path)


def no_special_ip(value: str, path: str) -> Causes:
    """An address that can be an endpoint.

    Upstream also refuses loopback addresses; here they are what pods and Services of the subprocess runtime have.
    """
    if errors := list(named(value, path, names.ip)):
        yield from errors
        return
    address = ip_address(value)
    if address.is_unspecified:
        yield invalid(path, value, f"may not be unspecified ({value})")
    if address.is_link_local:
        yield invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if address.is_multicast:
        yield invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


def only_fields(new: Mapping[str, Any], old: Mapping[str, Any], mutable: Iterable[str]) -> bool:
    """Whether two versions of a spec differ in nothing but the mutable fields."""
    allowed = frozenset(mutable)
    return all(new.get(key) == old.get(key) for key in {*new, *old} - allowed)


def refuse(condition: object, path: str, detail: str) -> Causes:
    if condition:
        yield forbidden(path, detail)


def domain_path(value: str, path: str) -> Causes:
    """`example.com/what`: a domain, and something below it. Upstream: IsDomainPrefixedPath."""
    domain, _, rest = value.partition("/")
    if not value:
        yield required(path)
    elif not domain or not rest:
        yield invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        for text in names.dns1123_subdomain(domain):
            yield invalid(path, domain, text)

"""The string formats that a custom resource's schema may ask for; others are no constraint.

Upstream: kube-openapi `pkg/validation/strfmt` (`default.go`), of which these are the formats that
apiextensions-apiserver supports (`pkg/apiserver/validation/formats.go`).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from datetime import date
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from minik8s.machinery.names import dns1123_label, dns1123_subdomain


def _fits(pattern: str, flags: int = 0) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII | flags)
    return lambda text: compiled.fullmatch(text) is not None


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return check


def _uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _cidr(text: str) -> object:
    if "/" not in text:
        raise ValueError(text)
    return ip_network(text, strict=False)


def _hostname(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    return 0 < len(text) <= 255 and all(_LABEL(label) for label in labels)


_LABEL = _fits(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")


def _date(text: str) -> object:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(text)
    return date.fromisoformat(text)


_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[tT](\d\d):(\d\d):(\d\d)(\.\d+)?([zZ]|[+-]\d\d:?\d\d)", re.ASCII
)  # fmt: skip


def _date_time(text: str) -> object:
    match = _DATE_TIME.fullmatch(text)
    if not match or int(match[2]) > 23 or int(match[3]) > 59 or int(match[4]) > 59:
        raise ValueError(text)
    return date.fromisoformat(match[1])


def _uuid(version: int | None) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        if not _UUID(text):
            return False
        return version is None or UUID(text).version == version

    return check


_UUID = _fits(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)


def _luhn(text: str) -> bool:
    digits = [int(c) for c in text if c.isascii() and c.isdigit()]
    if not 12 < len(digits) < 20 or len(digits) + text.count(" ") + text.count("-") != len(text):
        return False
    doubled = [d * 2 - 9 if d > 4 else d * 2 for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _isbn10(text: str) -> bool:
    bare = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"\d{9}[\dX]", bare, re.ASCII):
        return False
    return sum((10 - i) * (10 if c == "X" else int(c)) for i, c in enumerate(bare)) % 11 == 0


def _isbn13(text: str) -> bool:
    bare = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"\d{13}", bare, re.ASCII):
        return False
    return sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(bare)) % 10 == 0


def _byte(text: str) -> object:
    return binascii.a2b_base64(text.replace("\n", "").replace("\r", ""), strict_mode=True) if text else b""


_UNIT = (
    r"(ns|us|µs|μs|ms|s|m|h|d|w|nanoseconds?|nanos?|micros?|microseconds?|millis?|milliseconds?|secs?|seconds?|mins?"
    r"|minutes?|hrs?|hours?|days?|weeks?|wks?)"
)
_NUMBER = r"(\d+\.?\d*|\.\d+)"

CHECKS: Final[Mapping[str, Callable[[str], bool]]] = {
    "bsonobjectid": _fits(r"[0-9a-fA-F]{24}"),
    "uri": _uri,
    "email": _fits(r"[^@\s<>]+@[A-Za-z0-9.-]+|.*<[^@\s<>]+@[A-Za-z0-9.-]+>"),
    "hostname": _hostname,
    "ipv4": _parses(IPv4Address),
    "ipv6": _parses(IPv6Address),
    "cidr": _parses(_cidr),
    "mac": _fits(r"([0-9a-fA-F]{2}[:-]){5,19}[0-9a-fA-F]{2}|([0-9a-fA-F]{4}\.){2,9}[0-9a-fA-F]{4}"),
    "uuid": _uuid(None),
    "uuid3": _uuid(3),
    "uuid4": _uuid(4),
    "uuid5": _uuid(5),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _luhn,
    "ssn": _fits(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _fits(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _fits(
        r"rgb\(\s*(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])(\s*,\s*(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])){2}\s*\)"
    ),
    "byte": _parses(_byte),
    "password": lambda text: True,
    "date": _parses(_date),
    "duration": _fits(rf"[+-]?0|[+-]?({_NUMBER}\s*{_UNIT}\s*)+", re.IGNORECASE),
    "datetime": _parses(_date_time),
    "k8sshortname": lambda text: not dns1123_label(text),
    "k8slongname": lambda text: not dns1123_subdomain(text),
}
"""Format without its dashes -> whether a string is of it."""


KNOWN: Final = frozenset({"int32", "int64", "float", "double"})
"""Formats of numbers: they constrain nothing, but are no mistakes."""


def is_known(name: str) -> bool:
    """Whether a format is one that upstream does not warn about."""
    return name in KNOWN or name.replace("-", "") in CHECKS


def format_check(name: str) -> Callable[[str], bool] | None:
    """The check of a format as a schema spells it, None for one that constrains nothing."""
    return CHECKS.get(name.replace("-", ""))

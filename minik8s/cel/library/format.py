"""Named formats: `format.dns1123Label().validate(name)` is empty, or the list of what is wrong.

Upstream: k8s.io/apiserver `pkg/cel/library/format.go`; the messages are those of metadata.name.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

import attrs

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.cel.library.url import url_problem
from minik8s.cel.timelib import parse_date, parse_timestamp
from minik8s.cel.values import NONE, Opaque, Optional
from minik8s.machinery import names

Validate = Callable[[str], list[str]]
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@attrs.frozen
class NamedFormat(Opaque):
    """A format."""

    name: str
    check: Validate = attrs.field(repr=False)

    cel_name = "kubernetes.NamedFormat"


def _prefix(check: Validate) -> Validate:
    """A name that something is appended to, so it may end with a dash."""
    return lambda text: check(text[:-2] + "a" if len(text) > 1 and text.endswith("-") else text)


def _uri(text: str) -> list[str]:
    problem = url_problem(text)
    return [problem] if problem else []


def _uuid(text: str) -> list[str]:
    return [] if _UUID.fullmatch(text) else ["does not match the UUID format"]


def _byte(text: str) -> list[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ["invalid base64"]
    return [] if text else ["invalid base64"]


def _time(parse: Callable[[str], object], message: str) -> Validate:
    def check(text: str) -> list[str]:
        try:
            parse(text)
        except EvaluationError:
            return [message]
        return []

    return check


def _date(text: str) -> object:
    if not _DATE.fullmatch(text):
        raise EvaluationError("no date")
    return parse_date(text)


FORMATS = {
    name: NamedFormat(name, check)
    for name, check in {
        "dns1123Label": names.dns1123_label,
        "dns1123Subdomain": names.dns1123_subdomain,
        "dns1035Label": names.dns1035_label,
        "qualifiedName": names.qualified_name,
        "dns1123LabelPrefix": _prefix(names.dns1123_label),
        "dns1123SubdomainPrefix": _prefix(names.dns1123_subdomain),
        "dns1035LabelPrefix": _prefix(names.dns1035_label),
        "labelValue": names.label_value,
        "uri": _uri,
        "uuid": _uuid,
        "byte": _byte,
        "date": _time(_date, "invalid date"),
        "datetime": _time(parse_timestamp, "invalid datetime"),
    }.items()
}


def _named(name: str) -> Optional:
    return Optional(True, FORMATS[name]) if name in FORMATS else NONE


def _validate(format_: NamedFormat, text: str) -> Optional:
    problems = format_.check(text)
    return Optional(True, list(problems)) if problems else NONE


_F = NamedFormat.cel_name
FUNCTIONS = table(
    [
        ("format.named", f"(string) -> optional({_F})", _named),
        ("validate", f"{_F}.(string) -> optional(list(string))", _validate),
        *((f"format.{name}", f"() -> {_F}", lambda f=format_: f) for name, format_ in FORMATS.items()),
    ]
)

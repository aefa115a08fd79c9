"""Names: the rules they follow, and making new ones from the cluster's seed.

A rule returns the list of what is wrong, empty when nothing is, with the texts of apimachinery
`pkg/util/validation/validation.go` and `pkg/api/validation`: users read them and tests match them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address, ip_network
from random import Random

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_NAME_PART = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_PERCENT = "[0-9]+%"
_HTTP_HEADER = "[-A-Za-z0-9]+"

_LABEL_RE = re.compile(_LABEL)
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN)
_WILDCARD_RE = re.compile(_WILDCARD)
_LABEL_1035_RE = re.compile(_LABEL_1035)
_NAME_PART_RE = re.compile(_NAME_PART)
_CONFIG_KEY_RE = re.compile(_CONFIG_KEY)
_C_IDENTIFIER_RE = re.compile(_C_IDENTIFIER)
_PERCENT_RE = re.compile(_PERCENT)
_HTTP_HEADER_RE = re.compile(_HTTP_HEADER)
_PORT_CHARACTERS_RE = re.compile("[-a-z0-9]+")
_CIDR_RE = re.compile(r"[^/%]+/[0-9]{1,3}")

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
MAX_GENERATE_BASE = 58
_UUID_RANDOM = ~(0xF000 << 64 | 0xC000 << 48)
_UUID_VERSION_4 = 0x4000 << 64 | 0x8000 << 48
"""The bits that RFC 9562 leaves to chance, and those of a version 4 UUID that it fixes (version and variant)."""


def _regex_error(message: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"


_SUBDOMAIN_ERROR = _regex_error(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_LABEL_ERROR = _regex_error(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_LABEL_1035_ERROR = _regex_error(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character",
    _LABEL_1035,
    "my-name",
    "abc-123",
)
_WILDCARD_ERROR = _regex_error(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)
_NAME_PART_ERROR = _regex_error(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    _NAME_PART,
    "MyName",
    "my.name",
    "123-abc",
)
_LABEL_VALUE_ERROR = _regex_error(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character",
    f"({_NAME_PART})?",
    "MyValue",
    "my_value",
    "12345",
)
_CONFIG_KEY_ERROR = _regex_error(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)
_C_IDENTIFIER_ERROR = _regex_error(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
    "characters or '_'",
    _C_IDENTIFIER,
    "my_name",
    "MY_NAME",
    "MyName",
)
_PERCENT_ERROR = _regex_error(
    "a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%"
)
_HTTP_HEADER_ERROR = _regex_error(
    "a valid HTTP header must consist of alphanumeric characters or '-'", _HTTP_HEADER, "X-Header-Name"
)
_ENV_NAME_ERROR = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_IP_ERROR = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_CIDR_ERROR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def _longer(value: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} characters"] if len(value) > limit else []


def dns1123_subdomain(value: str) -> list[str]:
    """A DNS-1123 subdomain, the name format of most kinds."""
    return _longer(value, 253) + ([] if _SUBDOMAIN_RE.fullmatch(value) else [_SUBDOMAIN_ERROR])


def dns1123_label(value: str) -> list[str]:
    """A DNS-1123 label: names of namespaces, services, containers, volumes."""
    errors = _longer(value, 63)
    if not _LABEL_RE.fullmatch(value):
        errors.append("must not contain dots" if _SUBDOMAIN_RE.fullmatch(value) else _LABEL_ERROR)
    return errors


def dns1035_label(value: str) -> list[str]:
    """A DNS-1123 label that starts with a letter."""
    return _longer(value, 63) + ([] if _LABEL_1035_RE.fullmatch(value) else [_LABEL_1035_ERROR])


def wildcard_subdomain(value: str) -> list[str]:
    """`*.` and a DNS-1123 subdomain: a host of an Ingress."""
    return _longer(value, 253) + ([] if _WILDCARD_RE.fullmatch(value) else [_WILDCARD_ERROR])


def path_segment(value: str) -> list[str]:
    """Anything that can be one segment of a URL's path: names of the RBAC kinds."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{c}'" for c in "/%" if c in value]


def port_name(value: str) -> list[str]:
    """An IANA service name: a named port."""
    errors = _longer(value, 15)
    if not _PORT_CHARACTERS_RE.fullmatch(value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        errors.append("must not begin or end with a hyphen")
    return errors


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def qualified_name(value: str) -> list[str]:
    """`[prefix/]name`: keys of labels and annotations, finalizers, condition types, taint keys."""
    return [*_qualified_name_errors(value)]


@lru_cache(maxsize=4096)
def _qualified_name_errors(value: str) -> tuple[str, ...]:
    """Cached, for objects are many and their keys are few."""
    prefix, slash, name = value.partition("/")
    if "/" in name:
        return (
            f"a qualified name {_NAME_PART_ERROR} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')",
        )
    errors = []
    if not slash:
        name = prefix
    elif not prefix:
        errors.append("prefix part must be non-empty")
    else:
        errors += [f"prefix part {text}" for text in dns1123_subdomain(prefix)]
    if not name:
        errors.append("name part must be non-empty")
    elif len(name) > 63:
        errors.append("name part must be no more than 63 bytes")
    if not _NAME_PART_RE.fullmatch(name):
        errors.append(f"name part {_NAME_PART_ERROR}")
    return tuple(errors)


def label_value(value: str) -> list[str]:
    errors = ["must be no more than 63 bytes"] if len(value.encode()) > 63 else []
    if value and not _NAME_PART_RE.fullmatch(value):
        errors.append(_LABEL_VALUE_ERROR)
    return errors


def config_key(value: str) -> list[str]:
    """A key of a ConfigMap's or Secret's data: it becomes a file name."""
    errors = _longer(value, 253)
    if not _CONFIG_KEY_RE.fullmatch(value):
        errors.append(_CONFIG_KEY_ERROR)
    elif value in (".", ".."):
        errors.append(f"must not be '{value}'")
    elif value.startswith(".."):
        errors.append("must not start with '..'")
    return errors


def env_name(value: str) -> list[str]:
    errors = [] if value else ["environment variable name must be non-empty"]
    if any(c == "=" or not " " <= c <= "~" for c in value):
        errors.append(_ENV_NAME_ERROR)
    return errors


def c_identifier(value: str) -> list[str]:
    return [] if _C_IDENTIFIER_RE.fullmatch(value) else [_C_IDENTIFIER_ERROR]


def percent(value: str) -> list[str]:
    return [] if _PERCENT_RE.fullmatch(value) else [_PERCENT_ERROR]


def http_header_name(value: str) -> list[str]:
    return [] if _HTTP_HEADER_RE.fullmatch(value) else [_HTTP_HEADER_ERROR]


def ip(value: str) -> list[str]:
    """An IPv4 or IPv6 address without zone."""
    try:
        ip_address(value)
    except ValueError:
        return [_IP_ERROR]
    return [_IP_ERROR] if "%" in value else []


def cidr(value: str) -> list[str]:
    """An address with a prefix length; bits beyond the prefix may be set, as upstream allows."""
    try:
        ip_network(value, strict=False)
    except ValueError:
        return [_CIDR_ERROR]
    return [] if _CIDR_RE.fullmatch(value) else [_CIDR_ERROR]


def random_suffix(rng: Random) -> str:
    """Five characters that read as no word, as generateName appends them."""
    return "".join(rng.choices(SUFFIX_ALPHABET, k=SUFFIX_LENGTH))


def generate_name(base: str, rng: Random) -> str:
    """`base` cut to 58 characters plus a random suffix."""
    return base[:MAX_GENERATE_BASE] + random_suffix(rng)


def new_uid(rng: Random) -> str:
    """A version 4 UUID drawn from the cluster's seed; spelt here, as `uuid.UUID` would take four times as long."""
    text = f"{rng.getrandbits(128) & _UUID_RANDOM | _UUID_VERSION_4:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

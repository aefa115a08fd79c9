"""The rules of names: what is accepted, and the texts for what is not."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from minik8s.machinery import names


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (names.dns1123_subdomain, ["a", "a.b-c.d", "1"], {"A": "a lowercase RFC 1123 subdomain must consist"}),
        (names.dns1123_subdomain, [], {"a" * 254: "must be no more than 253 characters", "a..b": "a lowercase RFC"}),
        (names.dns1123_label, ["a", "1-a"], {"a.b": "must not contain dots", "-a": "a lowercase RFC 1123 label must"}),
        (names.dns1123_label, ["a" * 63], {"a" * 64: "must be no more than 63 characters", "a\n": "a lowercase"}),
        (names.dns1035_label, ["a1"], {"1a": "a DNS-1035 label must consist of lower case"}),
        (names.wildcard_subdomain, ["*.a.b"], {"a.b": "a wildcard DNS-1123 subdomain must start with '*.'"}),
        (names.path_segment, ["system:node", "A b"], {"a/b": "may not contain '/'", "..": "may not be '..'"}),
        (names.port_name, ["http", "p-1"], {"HTTP": "must contain only alpha-numeric", "1": "must contain at least"}),
        (names.port_name, [], {"a--b": "must not contain consecutive hyphens", "a-": "must not begin or end"}),
        (names.port_name, ["a" * 15], {"a" * 16: "must be no more than 15 characters"}),
        (names.qualified_name, ["a", "example.com/A_b.c"], {"/a": "prefix part must be non-empty", "a/": "name part"}),
        (names.qualified_name, [], {"a/b/c": "a qualified name must consist", "A/b": "prefix part a lowercase RFC"}),
        (names.qualified_name, ["a" * 63], {"a" * 64: "name part must be no more than 63 bytes", "": "name part must"}),
        (names.label_value, ["", "A_b.1"], {"-a": "a valid label must be", "a" * 64: "must be no more than 63 bytes"}),
        (names.config_key, ["a.b", "-", ".a"], {"a/b": "a valid config key must", ".": "must not be '.'"}),
        (names.config_key, [], {"..": "must not be '..'", "..a": "must not start with '..'"}),
        (names.env_name, ["A", "a b", "1"], {"a=b": "a valid environment variable name", "é": "a valid environment"}),
        (names.env_name, [], {"": "environment variable name must be non-empty"}),
        (names.c_identifier, ["_a1"], {"1a": "a valid C identifier"}),
        (names.percent, ["5%"], {"5": "a valid percent string", "%": "a valid percent string"}),
        (names.ip, ["10.0.0.1", "::1"], {"10.0.0": "must be a valid IP address", "fe80::1%eth0": "must be a valid IP"}),
        (names.cidr, ["10.0.0.0/8", "10.1.0.0/8", "fd00::/64"], {"10.0.0.0": "must be a valid CIDR value"}),
        (names.cidr, [], {"10.0.0.0/255.0.0.0": "must be a valid CIDR", "10.0.0.0/33": "must be a valid CIDR"}),
        (names.http_header_name, ["X-A"], {"X A": "a valid HTTP header"}),
    ],
)
def test_rules(rule: Callable[[str], list[str]], good: list[str], bad: dict[str, str]) -> None:
    """Each rule lets good values pass and begins its complaint with upstream's words."""
    for value in good:
        assert rule(value) == []
    for value, start in bad.items():
        assert rule(value)[0].startswith(start)


def test_full_texts() -> None:
    """The composed texts are upstream's to the letter, odd spacing included."""
    assert names.dns1123_label("A") == [
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    ]
    assert names.label_value("-") == [
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
        "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
        "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    ]


def test_generated_names() -> None:
    """generateName cuts the base and appends five seeded characters; ports have a range."""
    assert len(names.generate_name("x" * 80, Random(1))) == 63
    assert names.generate_name("web-", Random(1)) == names.generate_name("web-", Random(1))
    assert names.new_uid(Random(1))[14] == "4"
    assert names.port_number(0) == ["must be between 1 and 65535, inclusive"]
    assert names.port_number(80) == []

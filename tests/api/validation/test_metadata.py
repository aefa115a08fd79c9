"""Metadata: the same rules for every kind."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.validation.metadata import finalizer_warnings, validate_metadata
from minik8s.machinery.names import dns1123_label, dns1123_subdomain

OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1", "controller": True}


def errors(metadata: dict[str, Any], old: dict[str, Any] | None = None, **more: Any) -> list[str]:
    base = {"name": "n", "namespace": "default"}
    options: dict[str, Any] = {"namespaced": True, "name_rule": dns1123_subdomain, **more}
    before = {"metadata": {**base, **old}} if old is not None else None
    causes = validate_metadata({"metadata": {**base, **metadata}}, before, **options)
    return [f"{cause.field}: {cause.message}" for cause in causes]


@pytest.mark.parametrize(
    ("metadata", "start"),
    [
        ({}, []),
        ({"name": ""}, ["metadata.name: Required value: name or generateName is required"]),
        ({"name": "A"}, ['metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of']),
        ({"generateName": "web-"}, []),
        ({"generateName": "Web-"}, ['metadata.generateName: Invalid value: "Web-": a lowercase']),
        ({"labels": {"a b": "c"}}, ['metadata.labels: Invalid value: "a b": name part must consist of']),
        ({"labels": {"a": "b c"}}, ['metadata.labels: Invalid value: "b c": a valid label must be']),
        ({"annotations": {"UPPER/key": "v"}}, []),
        ({"annotations": {"a": "v" * 262144}}, ["metadata.annotations: Too long: may not be more than 262144 bytes"]),
        ({"finalizers": ["foo"]}, ['metadata.finalizers[0]: Invalid value: "foo": name is neither a standard']),
        ({"finalizers": ["foo.com/bar", "kubernetes", "orphan"]}, []),
        ({"ownerReferences": [OWNER]}, []),
        (
            {"ownerReferences": [{**OWNER, "uid": ""}]},
            ['metadata.ownerReferences.uid: Invalid value: "": must not be empty'],
        ),
        (
            {"ownerReferences": [{**OWNER, "kind": "Event"}]},
            ["metadata.ownerReferences: Invalid value: {"],
        ),
    ],
)
def test_creation(metadata: dict[str, Any], start: list[str]) -> None:
    """Each rule has its text; what follows none of them is fine."""
    found = errors(metadata)
    assert len(found) == len(start)
    assert all(text.startswith(prefix) for text, prefix in zip(found, start, strict=True))


def test_two_controllers() -> None:
    """An object has at most one controller, and the message names both that claim to be it."""
    (text,) = errors({"ownerReferences": [OWNER, {**OWNER, "name": "y", "uid": "2"}]})
    assert text.startswith("metadata.ownerReferences: Invalid value: [")
    assert text.endswith(
        'Only one reference can have Controller set to true. Found "true" in references for Pod/x and Pod/y'
    )


def test_scope() -> None:
    """A cluster-scoped object has no namespace, and a kind's own name rule holds."""
    assert errors({}, namespaced=False) == ["metadata.namespace: Forbidden: not allowed on this type"]
    assert errors({"name": "a.b"}, name_rule=dns1123_label) == [
        'metadata.name: Invalid value: "a.b": must not contain dots'
    ]


def test_finalizers_while_deleting() -> None:
    """Once deletion has begun finalizers may only go."""
    deleting = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a.io/b", "a.io/c"]}
    fewer = {**deleting, "finalizers": ["a.io/b"]}
    assert errors(fewer, deleting) == []
    assert errors(deleting, fewer) == [
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new "
        'finalizers []string{"a.io/c"}'
    ]


def test_custom_resources_may_have_plain_finalizers() -> None:
    """They are only warned."""
    assert errors({"finalizers": ["foo"]}, builtin=False) == []
    assert finalizer_warnings({"metadata": {"finalizers": ["foo", "a.io/b"]}}) == [
        'metadata.finalizers: "foo": prefer a domain-qualified finalizer name including a path (/) to avoid accidental '
        "conflicts with other finalizer writers"
    ]

"""Which backend an Ingress means for a request, and whose an Ingress is."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.ingresses import DEFAULT_CLASS, Backend, is_ours, route_to, routes_of


def path(where: str, kind: str, service: str) -> dict[str, Any]:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {"path": where, "pathType": kind, "backend": backend}


def ingress(name: str, *rules: dict[str, Any], created: int = 1, **spec: Any) -> dict[str, Any]:
    stamp = f"2026-01-01T00:00:0{created}Z"
    return {"metadata": {"name": name, "namespace": "ns", "creationTimestamp": stamp}, "spec": {"rules": rules, **spec}}


SITE = ingress(
    "site",
    {"host": "a.com", "http": {"paths": [
        path("/", "Prefix", "root"), path("/foo", "Prefix", "foo"), path("/foo", "Exact", "exact"),
        path("/foo/bar/", "Prefix", "bar"), path("/impl", "ImplementationSpecific", "impl"),
    ]}},
    {"host": "*.a.com", "http": {"paths": [path("/", "Prefix", "wild")]}},
    {"host": "b.com", "http": {"paths": [path("/only", "Exact", "only")]}},
    {"http": {"paths": [path("/any", "Prefix", "any")]}},
    defaultBackend={"service": {"name": "default", "port": {"name": "http"}}},
)  # fmt: skip
LATER = ingress("later", {"host": "a.com", "http": {"paths": [path("/", "Prefix", "usurper")]}}, created=2)


@pytest.mark.parametrize(
    ("host", "where", "service"),
    [
        ("a.com", "/", "root"),
        ("A.com:8080", "/x", "root"),
        ("a.com", "/foo", "exact"),
        ("a.com", "/foo/", "foo"),
        ("a.com", "/food", "root"),
        ("a.com", "/foo/bar", "bar"),
        ("a.com", "/foo/bar/baz", "bar"),
        ("a.com", "/impl/x", "impl"),
        ("x.a.com", "/foo", "wild"),
        ("y.x.a.com", "/any", "any"),
        ("b.com", "/only", "only"),
        ("b.com", "/only/", "default"),
        ("b.com", "/any", "default"),
        ("c.com", "/any/1", "any"),
        ("c.com", "/else", "default"),
    ],
)
def test_routes(host: str, where: str, service: str) -> None:
    """Named hosts before wildcards before any; the longest path, the exact of equals; the older of two Ingresses."""
    found = route_to(routes_of([LATER, SITE]), host, where)
    assert found is not None
    assert found.service == service


def test_nobody() -> None:
    """Without a default backend nobody has what no rule matches; a backend that is no Service keeps its name."""
    assert route_to(routes_of([LATER]), "other", "/") is None
    bucket = {"resource": {"kind": "Bucket", "name": "b"}}
    found = route_to(routes_of([ingress("i", defaultBackend=bucket)]), "x", "/")
    assert found == Backend("ns", resource="Bucket b")


def test_whose_it_is() -> None:
    """By the class that it names, in the field or the old annotation; else by the default class."""
    ours = {"metadata": {"name": "ours", "annotations": {DEFAULT_CLASS: "true"}}, "spec": {"controller": "us"}}
    theirs = {"metadata": {"name": "theirs"}, "spec": {"controller": "them"}}
    classes = [ours, theirs]
    assert is_ours(ingress("i", ingressClassName="ours"), classes, "us")
    assert not is_ours(ingress("i", ingressClassName="theirs"), classes, "us")
    assert not is_ours(ingress("i", ingressClassName="absent"), classes, "us")
    assert is_ours(ingress("i"), classes, "us")
    annotated = ingress("i")
    annotated["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "theirs"}
    assert not is_ours(annotated, classes, "us")

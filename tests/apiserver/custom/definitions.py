"""Definitions and objects of custom resources for the tests of this folder."""

from __future__ import annotations

from typing import Any

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FOOS = "/apis/example.com/v1/namespaces/default/foos"


def schema_of(**spec: Any) -> dict[str, Any]:
    """A schema whose spec has these properties."""
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}


def version_of(name: str = "v1", schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One version of a definition; served and stored unless said otherwise."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"name": name, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema or anything}, **more}


def crd(*versions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """The definition of foos.example.com."""
    names = {"plural": "foos", "kind": "Foo", **spec.pop("names", {})}
    body = {"group": "example.com", "scope": "Namespaced", **spec}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{body['group']}"},
        "spec": {**body, "names": names, "versions": list(versions) or [version_of()]},
    }


def foo(name: str = "f", version: str = "v1", **fields: Any) -> dict[str, Any]:
    """An object of that definition."""
    return {"apiVersion": f"example.com/{version}", "kind": "Foo", "metadata": {"name": name}, **fields}


def condition(obj: dict[str, Any], type_: str) -> tuple[str, str, str]:
    """(status, reason, message) of a condition."""
    found = next(c for c in obj["status"]["conditions"] if c["type"] == type_)
    return found["status"], found["reason"], found["message"]

"""Namespaces from outside: what cannot be created in them, and which cannot be deleted."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

CM = {"metadata": {"name": "x"}}


async def test_unknown_namespaces(server: Any) -> None:
    """Nothing is created in them; reading them is no error."""
    path = "/api/v1/namespaces/nope/configmaps"
    await server.refused("POST", path, 404, "NotFound", 'namespaces "nope" not found', CM)
    assert (await server.ok("GET", path))["items"] == []
    assert (await server.ok("DELETE", path))["items"] == []


async def test_terminating_namespaces(server: Any) -> None:
    """403 with a cause; what is there may still change and go."""
    await server.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "n1"}})
    path = "/api/v1/namespaces/n1/configmaps"
    await server.ok("POST", path, {"metadata": {"name": "old"}})
    await server.ok("DELETE", "/api/v1/namespaces/n1")
    message = 'configmaps "x" is forbidden: unable to create new content in namespace n1 because it is being terminated'
    details = await server.refused("POST", path, 403, "Forbidden", message, CM)
    assert details["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace n1 is being terminated",
            "field": "metadata.namespace",
        }
    ]
    await server.ok("PUT", f"{path}/old", {"metadata": {"name": "old"}, "data": {"a": "b"}})
    await server.ok("DELETE", f"{path}/old")
    message = 'object is being deleted: namespaces "n1" already exists'
    await server.refused("POST", "/api/v1/namespaces", 409, "AlreadyExists", message, {"metadata": {"name": "n1"}})


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_namespaces_that_stay(server: Any, name: str) -> None:
    """The cluster cannot do without them."""
    message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    await server.refused("DELETE", f"/api/v1/namespaces/{name}", 403, "Forbidden", message)


async def test_names_are_required(server: Any) -> None:
    """Or a base to generate one from."""
    message = 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'
    await server.refused("POST", "configmaps", 422, "Invalid", message, {})

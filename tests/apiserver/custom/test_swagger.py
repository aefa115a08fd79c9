"""`/openapi/v2` follows the definitions at once: what is served is in it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.custom.definitions import DEFINITIONS, crd, schema_of, version_of

pytestmark = pytest.mark.anyio

FOO = "com.example.{}.Foo"
PATH = "/apis/example.com/v1/namespaces/{namespace}/foos/{name}"
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


async def test_definitions_come_change_and_go(server: Any) -> None:
    """A version has its schema there while it is served, under a new ETag each time."""
    tags, seen = set(), []
    second = version_of("v2", schema_of(b=NUMBER), storage=False)
    v1 = f"{DEFINITIONS}/foos.example.com"

    async def look() -> dict[str, Any]:
        response = await server.call("GET", "/openapi/v2")
        tags.add(response.headers["etag"])
        found = response.json()
        seen.append([v for v in ("v1", "v2") if FOO.format(v) in found["definitions"]])
        assert (PATH in found["paths"]) == ("v1" in seen[-1])
        return {name: d["properties"]["spec"] for name, d in found["definitions"].items() if name.endswith(".Foo")}

    await look()
    await server.ok("POST", DEFINITIONS, crd(version_of("v1", schema_of(a=TEXT)), second))
    shown = await look()
    assert shown[FOO.format("v1")]["properties"] == {"a": TEXT}
    await change(server, v1, version_of("v1", schema_of(a=NUMBER)), second)
    assert (await look())[FOO.format("v1")]["properties"] == {"a": NUMBER}
    await change(server, v1, version_of("v1", schema_of(a=NUMBER)), {**second, "served": False})
    await look()
    await server.ok("DELETE", v1)
    await look()
    assert seen == [[], ["v1", "v2"], ["v1", "v2"], ["v1"], []]
    assert len(tags) == 4  # the last document is the first again


async def change(server: Any, path: str, *versions: dict[str, Any]) -> None:
    stored = await server.ok("GET", path)
    await server.ok("PUT", path, {**stored, "spec": {**stored["spec"], "versions": list(versions)}})


async def test_a_kind_without_a_told_schema(server: Any) -> None:
    """One that preserves all fields is an object of which nothing is known."""
    await server.ok("POST", DEFINITIONS, crd())
    found = (await server.ok("GET", "/openapi/v2"))["definitions"][FOO.format("v1")]
    kind = {"group": "example.com", "version": "v1", "kind": "Foo"}
    assert found == {"type": "object", "x-kubernetes-group-version-kind": [kind]}

"""`/openapi/v2`: the document, its two forms, and that it follows the definitions of custom resources."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from minik8s.api.resource import Custom, Resource, Subresource
from minik8s.api.resources import BUILTIN
from minik8s.apiserver.swagger import PROTOBUF_TYPE, media_type, openapi_v2
from minik8s.config import VERSION
from minik8s.schema.gnostic import encode
from minik8s.schema.structural import root_type

META = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1."
TEXT = {"type": "string"}
TABS: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "port": {"x-kubernetes-int-or-string": True},
                "note": {"type": "string", "nullable": True, "default": "n"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        }
    },
}


def tabs(schema: dict[str, Any]) -> Resource[Any]:
    custom = Custom(root_type(schema, "stable.example.com/v1.CronTab"), schema)
    status = Subresource("status", ("get", "patch"))
    return Resource("stable.example.com", "v1", "crontabs", "CronTab", True, subresources=(status,), custom=custom)


def test_a_built_in_kind() -> None:
    """Golden: a Service's schema refers by $ref alone, and its list of ports merges by key."""
    definitions = openapi_v2(BUILTIN)["definitions"]
    service = definitions["io.k8s.api.core.v1.Service"]
    for field in service["properties"].values():
        field.pop("description", None)
    service.pop("description")
    assert service == {
        "type": "object",
        "properties": {
            "apiVersion": TEXT,
            "kind": TEXT,
            "metadata": {"$ref": f"{META}ObjectMeta"},
            "spec": {"$ref": "#/definitions/io.k8s.api.core.v1.ServiceSpec"},
            "status": {"$ref": "#/definitions/io.k8s.api.core.v1.ServiceStatus"},
        },
        "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Service"}],
    }
    ports = definitions["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"]
    assert ports["items"] == {"$ref": "#/definitions/io.k8s.api.core.v1.ServicePort"}
    assert (ports["x-kubernetes-patch-merge-key"], ports["x-kubernetes-patch-strategy"]) == ("port", "merge")
    assert definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"] == "string"


def test_operations() -> None:
    """Golden: the patch of a Deployment has a body, types outside schemas, and no requestBody."""
    path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    item = openapi_v2(BUILTIN)["paths"][path]
    assert [(p["name"], p["in"], p["type"]) for p in item["parameters"]] == [
        ("namespace", "path", "string"),
        ("name", "path", "string"),
        ("pretty", "query", "string"),
    ]
    patch = item["patch"]
    body, *query = patch.pop("parameters")
    assert body == {"name": "body", "in": "body", "required": True, "schema": {"$ref": f"{META}Patch"}}
    assert [p["name"] for p in query] == ["dryRun", "fieldManager", "fieldValidation", "force"]
    assert "application/strategic-merge-patch+json" in patch.pop("consumes")
    assert patch == {
        "tags": ["apps_v1"],
        "description": "patch the specified Deployment",
        "operationId": "patchAppsV1NamespacedDeployment",
        "schemes": ["https"],
        "produces": ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"],
        "responses": {
            "200": {"description": "OK", "schema": {"$ref": "#/definitions/io.k8s.api.apps.v1.Deployment"}},
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
    }


def test_a_custom_kind() -> None:
    """Golden: its schema as upstream's builder leaves it, and the list that is made of it."""
    definitions = openapi_v2([tabs(TABS)])["definitions"]
    kind = definitions["com.example.stable.v1.CronTab"]
    for field in kind["properties"].values():
        field.pop("description", None)
    assert kind == {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "port": {"x-kubernetes-int-or-string": True},
                    "note": {},
                    "free": {"x-kubernetes-preserve-unknown-fields": True},
                },
            },
            "apiVersion": TEXT,
            "kind": TEXT,
            "metadata": {"$ref": f"{META}ObjectMeta"},
        },
        "x-kubernetes-group-version-kind": [{"group": "stable.example.com", "version": "v1", "kind": "CronTab"}],
    }
    items = definitions["com.example.stable.v1.CronTabList"]["properties"]["items"]
    assert items == {"type": "array", "items": {"$ref": "#/definitions/com.example.stable.v1.CronTab"}}


def test_a_custom_kind_that_preserves_unknown_fields() -> None:
    """No property is told, not even metadata: kubectl would refuse all others."""
    found = openapi_v2([tabs({**TABS, "x-kubernetes-preserve-unknown-fields": True})])
    assert found["definitions"]["com.example.stable.v1.CronTab"] == {
        "type": "object",
        "x-kubernetes-group-version-kind": [{"group": "stable.example.com", "version": "v1", "kind": "CronTab"}],
    }


def test_the_document_is_closed() -> None:
    """No reference dangles, none is v3's, and every kind that can be patched has a definition that bears its name."""
    found = openapi_v2([*BUILTIN, tabs(TABS)])
    whole = orjson.dumps(found).decode()
    assert "#/components" not in whole
    assert {part.partition('"')[0] for part in whole.split("#/definitions/")[1:]} <= set(found["definitions"])
    kinds = [k for d in found["definitions"].values() for k in d.get("x-kubernetes-group-version-kind", ())]
    for resource in BUILTIN:
        if "patch" in resource.verbs:
            assert {"group": resource.group, "version": resource.version, "kind": resource.kind} in kinds


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json, */*", "application/json"),
        ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", PROTOBUF_TYPE),
        ("application/com.github.proto-openapi.spec.v2.v1.0+protobuf;q=1,application/json", PROTOBUF_TYPE),
        ("application/yaml", None),
        ("application/vnd.kubernetes.protobuf", None),
    ],
)
def test_media_types(accept: str, expected: str | None) -> None:
    """JSON unless one of the two names of the protobuf form comes first."""
    assert media_type(accept) == expected


@pytest.mark.anyio
@pytest.mark.parametrize("accept", ["application/json", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"])
async def test_answers(server: Any, accept: str) -> None:
    """Both forms carry an ETag that is honoured, answer HEAD, and are zipped for who takes that."""
    headers = {"accept": accept, "accept-encoding": "identity"}
    response = await server.call("GET", "/openapi/v2", headers=headers)
    assert (response.status_code, response.headers["vary"]) == (200, "Accept")
    document = openapi_v2(server.ctx.registry.resources, version=VERSION)
    assert response.content == (orjson.dumps(document) + b"\n" if accept == "application/json" else encode(document))
    tag = response.headers["etag"]
    again = await server.call("GET", "/openapi/v2", headers={**headers, "if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    head = await server.call("HEAD", "/openapi/v2", headers=headers)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)
    zipped = await server.call("GET", "/openapi/v2", headers={**headers, "accept-encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.content == response.content


@pytest.mark.anyio
async def test_what_cannot_be_served(server: Any) -> None:
    """406, as upstream, and without a body."""
    response = await server.call("GET", "/openapi/v2", headers={"accept": "application/yaml"})
    assert (response.status_code, response.content) == (406, b"")

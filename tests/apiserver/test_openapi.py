"""The documents of /openapi: what kubectl's apply, create and explain look for."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from minik8s.api.resource import Custom, Resource, Subresource
from minik8s.api.resources import BUILTIN, DEPLOYMENTS
from minik8s.apiserver import openapi
from minik8s.schema.structural import root_type

WIDGET_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"spec": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}


def custom(schema: dict[str, Any]) -> Custom:
    """What a definition with this schema makes of a resource."""
    return Custom(root_type(schema, "example.com/v1.Widget"), schema)


WIDGETS: Resource[Any] = Resource(
    "example.com",
    "v1",
    "widgets",
    "Widget",
    True,
    subresources=(
        Subresource("status", ("get", "patch")),
        Subresource("scale", ("get",), "Scale", "autoscaling", "v1"),
    ),
    custom=custom(WIDGET_SCHEMA),
)


def document(group_version: str) -> dict[str, Any]:
    found = openapi.openapi_v3(group_version, BUILTIN)
    assert found is not None
    return found


def test_the_index_has_every_group_version() -> None:
    """Each entry points below /openapi/v3 and carries a hash."""
    paths = openapi.openapi_v3_index(BUILTIN)["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/autoscaling/v1", "apis/autoscaling/v2"} <= set(paths)
    assert all(entry["serverRelativeURL"].startswith(f"/openapi/v3/{key}?hash=") for key, entry in paths.items())


def test_the_hash_follows_the_content() -> None:
    """A changed resource or a changed custom schema changes the hash of its group-version only."""
    before = openapi.openapi_v3_index([*BUILTIN, WIDGETS])["paths"]
    after = openapi.openapi_v3_index([*BUILTIN, attrs.evolve(WIDGETS, custom=custom({"type": "object"}))])["paths"]
    assert {key for key in before if before[key] != after[key]} == {"apis/example.com/v1"}
    renamed = attrs.evolve(DEPLOYMENTS, short_names=("dep",))
    changed = openapi.openapi_v3_hash("apps/v1", [renamed])
    assert changed != openapi.openapi_v3_hash("apps/v1", [DEPLOYMENTS])


@pytest.mark.parametrize("group_version", list(dict.fromkeys(r.api_version for r in BUILTIN)))
def test_every_document_is_closed(group_version: str) -> None:
    """No reference dangles, and no operation id is used twice."""
    found = document(group_version)
    text = orjson.dumps(found).decode()
    wanted = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted <= set(found["components"]["schemas"])
    operations = [op for item in found["paths"].values() for op in item.values() if isinstance(op, dict)]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("resource", [r for r in BUILTIN if "patch" in r.verbs], ids=lambda r: r.group_resource)
def test_every_kind_can_be_validated_by_the_server(resource: Resource[Any]) -> None:
    """kubectl finds PATCH with `fieldValidation` and a single group-version-kind object."""
    found = document(resource.api_version)
    patch = found["paths"][resource.path("{namespace}", "{name}")]["patch"]
    assert patch["x-kubernetes-group-version-kind"]["kind"] == resource.kind
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
    schemas = found["components"]["schemas"].values()
    kinds = [kind for schema in schemas for kind in schema.get("x-kubernetes-group-version-kind", ())]
    assert {"group": resource.group, "version": resource.version, "kind": resource.kind} in kinds


def test_verbs_become_operations() -> None:
    """Collections, objects, subresources and the list over all namespaces; nothing that is not served."""
    paths = document("v1")["paths"]
    collection = paths["/api/v1/namespaces/{namespace}/pods"]
    assert {method: collection[method]["x-kubernetes-action"] for method in ("get", "post", "delete")} == {
        "get": "list",
        "post": "post",
        "delete": "deletecollection",
    }
    assert set(paths["/api/v1/pods"]) == {"get", "parameters"}
    assert paths["/api/v1/namespaces/{namespace}/pods/{name}/exec"]["get"]["x-kubernetes-action"] == "connect"
    assert set(paths["/api/v1/namespaces/{namespace}/bindings"]) == {"post", "parameters"}
    assert "/api/v1/namespaces/{namespace}/bindings/{name}" not in paths
    scale = document("apps/v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]
    assert scale["get"]["x-kubernetes-group-version-kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}


def test_custom_resources_publish_their_own_schema() -> None:
    """Metadata and kind are added, the list is made, and there is no strategic merge."""
    found = openapi.openapi_v3("example.com/v1", [*BUILTIN, WIDGETS])
    assert found is not None
    widget = found["components"]["schemas"]["com.example.v1.Widget"]
    assert widget["properties"]["spec"] == WIDGET_SCHEMA["properties"]["spec"]
    assert widget["properties"]["metadata"]["allOf"][0]["$ref"].endswith(".ObjectMeta")
    assert "io.k8s.api.autoscaling.v1.Scale" in found["components"]["schemas"]
    assert "com.example.v1.WidgetList" in found["components"]["schemas"]
    patch = found["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    assert "metadata" not in WIDGET_SCHEMA["properties"]


def test_what_is_not_served_has_no_document() -> None:
    """The caller answers 404."""
    assert openapi.openapi_v3("nope/v1", BUILTIN) is None

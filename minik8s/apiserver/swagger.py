"""`/openapi/v2`: one swagger 2.0 document of everything that is served, made from the v3 documents.

Old kubectls validate, explain and merge by it, and so do other tools, so it says what upstream's says; it is large, and
made only when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

from minik8s.api.request import JSON, PROTOBUF, YAML
from minik8s.api.resource import Resource
from minik8s.apiserver.openapi import Resources, component, kind_of, openapi_v3
from minik8s.machinery.meta import Doc, Obj
from minik8s.schema.structural import PRESERVE
from minik8s.schema.swagger import custom_schema, definition

PROTOBUF_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PROTOBUF_TYPES: Final = (PROTOBUF_TYPE, PROTOBUF_TYPE.replace(".v2.v1.0", ".v2@v1.0"))
_KINDS: Final = "x-kubernetes-group-version-kind"


def media_type(accept: str) -> str | None:
    """JSON or PROTOBUF_TYPE, whichever the first clause takes that can be served; None when none can."""
    for clause in (accept.strip() or JSON).split(","):
        wanted = clause.partition(";")[0].strip().lower()
        if wanted in (JSON, "*/*", "application/*"):
            return JSON
        if wanted in _PROTOBUF_TYPES:
            return PROTOBUF_TYPE
    return None


def openapi_v2(resources: Resources, version: str = "") -> Obj:
    """The document; `version` is the server's gitVersion."""
    shown = [_narrowed(resource) for resource in resources]
    paths: Obj = {}
    schemas: Obj = {}
    for group_version in dict.fromkeys(resource.api_version for resource in shown):
        document = openapi_v3(group_version, shown)
        assert document is not None  # a resource of it is at hand
        paths |= document["paths"]
        for name, schema in document["components"]["schemas"].items():
            if name not in schemas or _KINDS in schema:  # a kind that others only refer to is told as such there
                schemas[name] = schema
    definitions = {name: definition(schema) for name, schema in sorted(schemas.items())}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": {path: _path_item(item) for path, item in sorted(paths.items())},
        "definitions": definitions | dict(_untold(shown)),
        "securityDefinitions": {
            "BearerToken": {
                "description": "Bearer Token authentication",
                "type": "apiKey",
                "name": "authorization",
                "in": "header",
            }
        },
        "security": [{"BearerToken": []}],
    }


def _narrowed(resource: Resource[Any]) -> Resource[Any]:
    """A custom resource with the schema that v2 may tell."""
    if resource.custom is None:
        return resource
    return attrs.evolve(resource, custom=attrs.evolve(resource.custom, schema=custom_schema(resource.custom.schema)))


def _untold(resources: Resources) -> Iterator[tuple[str, Obj]]:
    """Custom kinds that preserve unknown fields: with a single property, kubectl would refuse all others."""
    for resource in resources:
        if resource.custom is not None and resource.custom.schema.get(PRESERVE):
            kind = kind_of(resource)
            yield component(kind), {"type": "object", _KINDS: [kind._asdict()]}


# -- paths ---------------------------------------------------------------------------------------------------


def _path_item(item: Doc) -> Obj:
    return {
        method: [_parameter(parameter) for parameter in value] if method == "parameters" else _operation(value)
        for method, value in item.items()
    }


def _parameter(parameter: Doc) -> Obj:
    """What v3 says in a schema stands in the parameter itself."""
    return {key: value for key, value in parameter.items() if key != "schema"} | parameter["schema"]


def _operation(operation: Doc) -> Obj:
    found = {key: value for key, value in operation.items() if key not in ("requestBody", "responses", "parameters")}
    answer, body = operation["responses"]["200"], operation.get("requestBody")
    parameters = [_parameter(parameter) for parameter in operation.get("parameters", ())]
    found["schemes"] = ["https"]
    found["produces"] = list(answer["content"])
    found["consumes"] = ["*/*"]
    if body:
        types = list(body["content"])
        found["consumes"] = ["*/*"] if types == [JSON, YAML, PROTOBUF] else types
        parameters.insert(0, _body(body))
    if parameters:
        found["parameters"] = parameters
    ok = {"description": answer["description"], "schema": _content_schema(answer)}
    found["responses"] = {"200": ok, "401": {"description": "Unauthorized"}}
    return found


def _body(body: Doc) -> Obj:
    required = {"required": True} if body.get("required") else {}
    return {"name": "body", "in": "body", **required, "schema": _content_schema(body)}


def _content_schema(message: Doc) -> Obj:
    """All media types carry the same."""
    return definition(next(iter(message["content"].values()))["schema"])

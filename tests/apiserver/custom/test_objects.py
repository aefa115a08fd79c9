"""Objects of custom resources through the server: validation, defaults, subresources, selectors, ownership."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.custom.definitions import DEFINITIONS, FOOS, crd, foo, version_of

pytestmark = pytest.mark.anyio

MERGE = {"type": "application/merge-patch+json"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["a"],
            "properties": {
                "a": {"type": "integer", "maximum": 5},
                "b": {"type": "string", "enum": ["x", "y"]},
                "c": {"type": "string", "pattern": "^z", "default": "zed"},
                "d": {"type": "array", "maxItems": 1, "items": {"type": "string"}},
                "e": {"type": "integer", "x-kubernetes-validations": [{"rule": "self <= 10", "message": "too big"}]},
                "n": {"type": "string", "nullable": True},
                "replicas": {"type": "integer"},
            },
        },
        "status": {
            "type": "object",
            "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}, "x": {"type": "string"}},
        },
    },
}
SCALE = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}
UNCHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


async def defined(server: Any, **more: Any) -> None:
    """Defines foos with everything above."""
    subresources = {"status": {}, "scale": SCALE}
    fields = [{"jsonPath": ".spec.c"}, {"jsonPath": ".spec.a"}]
    version = version_of(schema=SCHEMA, subresources=subresources, selectableFields=fields)
    await server.ok("POST", DEFINITIONS, crd({**version, **more}))


@pytest.mark.parametrize(
    ("spec", "errors"),
    [
        ({}, ["spec.a: Required value", UNCHECKED]),
        (
            {"a": "s"},
            ['spec.a: Invalid value: "string": spec.a in body must be of type integer: "string"', UNCHECKED],
        ),
        ({"a": 9}, ["spec.a: Invalid value: 9: spec.a in body should be less than or equal to 5"]),
        ({"a": 1, "b": "q"}, ['spec.b: Unsupported value: "q": supported values: "x", "y"', UNCHECKED]),
        ({"a": 1, "c": "q"}, ["spec.c: Invalid value: \"q\": spec.c in body should match '^z'"]),
        ({"a": 1, "d": ["1", "2"]}, ["spec.d: Too many: 2: must have at most 1 item", UNCHECKED]),
        ({"a": 1, "e": 50}, ["spec.e: Invalid value: 50: too big"]),
    ],
)
async def test_invalid_objects_are_refused_in_upstreams_words(server: Any, spec: Any, errors: list[str]) -> None:
    """All errors at once; rules are not asked about what they could not read."""
    await defined(server)
    text = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
    await server.refused("POST", FOOS, 422, "Invalid", f'Foo.example.com "f" is invalid: {text}', foo(spec=spec))


async def test_unknown_fields_are_pruned_reported_or_refused(server: Any) -> None:
    """As fieldValidation asks: silently, with warnings (the default), or not at all."""
    await defined(server)
    body = foo(spec={"a": 1, "zz": 2}, foo=1)
    answer = await server.call("POST", FOOS, {**body, "metadata": {"name": "warned"}})
    assert answer.json()["spec"] == {"a": 1, "c": "zed"}
    warnings = [f'299 - "unknown field \\"{path}\\""' for path in ("foo", "spec.zz")]
    assert answer.headers.get_list("warning") == warnings
    quiet = await server.call("POST", FOOS + "?fieldValidation=Ignore", body)
    assert "warning" not in quiet.headers
    twice = b'{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"f"},"spec":{"a":1,"a":2,"zz":1}}'
    message = (
        'Foo in version "v1" cannot be handled as a Foo: strict decoding error: duplicate field "spec.a", '
        'unknown field "spec.zz"'
    )
    await server.refused("POST", FOOS + "?fieldValidation=Strict", 400, "BadRequest", message, twice)
    message = (
        'Foo in version "v1" cannot be handled as a Foo: strict decoding error: unknown field "foo", '
        'unknown field "spec.zz"'
    )
    await server.refused("POST", FOOS + "?fieldValidation=Strict", 400, "BadRequest", message, body)


async def test_null_is_dropped_kept_or_defaulted(server: Any) -> None:
    """As the field is: plain, nullable, or with a default."""
    await defined(server)
    made = await server.ok("POST", FOOS, foo(spec={"a": 1, "b": None, "c": None, "n": None}))
    assert made["spec"] == {"a": 1, "c": "zed", "n": None}


async def test_the_status_is_written_by_its_own_endpoint(server: Any) -> None:
    """Neither endpoint writes what is the other's; only the main one makes generations."""
    await defined(server)
    made = await server.ok("POST", FOOS, foo(spec={"a": 1}, status={"x": "no"}))
    assert "status" not in made
    told = await server.ok("PUT", f"{FOOS}/f/status", {**made, "spec": {"a": 2}, "status": {"x": "yes"}})
    assert (told["spec"]["a"], told["status"], told["metadata"]["generation"]) == (1, {"x": "yes"}, 1)
    changed = await server.ok("PUT", f"{FOOS}/f", {**told, "spec": {"a": 3}, "status": {"x": "other"}})
    assert (changed["spec"]["a"], changed["status"], changed["metadata"]["generation"]) == (3, {"x": "yes"}, 2)
    labelled = await server.ok("PATCH", f"{FOOS}/f", {"metadata": {"labels": {"a": "b"}}}, **MERGE)
    assert labelled["metadata"]["generation"] == 2


async def test_without_the_subresource_the_status_is_a_field_like_any(server: Any) -> None:
    """It is written by the main endpoint, and counts as a change."""
    await server.ok("POST", DEFINITIONS, crd(version_of(schema=SCHEMA)))
    made = await server.ok("POST", FOOS, foo(spec={"a": 1}, status={"x": "yes"}))
    assert made["status"] == {"x": "yes"}
    changed = await server.ok("PATCH", f"{FOOS}/f", {"status": {"x": "no"}}, **MERGE)
    assert (changed["status"], changed["metadata"]["generation"]) == ({"x": "no"}, 2)
    assert (await server.call("GET", f"{FOOS}/f/status")).status_code == 404


async def test_updates_name_their_version(server: Any) -> None:
    """A PUT without resourceVersion is refused, naming the plural."""
    await defined(server)
    await server.ok("POST", FOOS, foo(spec={"a": 1}))
    message = (
        'foos.example.com "f" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update'
    )
    details = await server.refused("PUT", f"{FOOS}/f", 422, "Invalid", message, foo(spec={"a": 1}))
    assert details["kind"] == "foos"


async def test_what_was_invalid_before_may_stay(server: Any) -> None:
    """A stricter schema only binds what an update changes."""
    await defined(server)
    await server.ok("POST", FOOS, foo(spec={"a": 5, "d": ["x"], "e": 10}))
    current = await server.ok("GET", f"{DEFINITIONS}/foos.example.com")
    properties = current["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["a"]["maximum"], properties["d"]["items"]["maxLength"] = 1, 0
    properties["e"]["x-kubernetes-validations"][0]["rule"] = "self <= 1"
    await server.ok("PUT", f"{DEFINITIONS}/foos.example.com", current)
    answer = await server.call("PATCH", f"{FOOS}/f", {"spec": {"b": "x"}}, **MERGE)
    assert (answer.status_code, answer.headers["warning"]) == (200, '299 - "spec.e: Invalid value: 10: too big"')
    message = 'Foo.example.com "f" is invalid: spec.e: Invalid value: 9: too big'
    await server.refused("PATCH", f"{FOOS}/f", 422, "Invalid", message, {"spec": {"e": 9}}, **MERGE)
    why = "spec.a: Invalid value: 4: spec.a in body should be less than or equal to 1"
    message = f'Foo.example.com "f" is invalid: {why}'
    await server.refused("PATCH", f"{FOOS}/f", 422, "Invalid", message, {"spec": {"a": 4}}, **MERGE)


async def test_scale_reads_and_writes_where_the_definition_says(server: Any) -> None:
    """As autoscaling/v1 Scale, by PUT, patch and apply; 500 where there is no number, as upstream."""
    await defined(server)
    await server.ok("POST", FOOS, foo(spec={"a": 1, "replicas": 2}))
    await server.ok("PATCH", f"{FOOS}/f/status", {"status": {"replicas": 1, "selector": "a=b"}}, **MERGE)
    scale = await server.ok("GET", f"{FOOS}/f/scale")
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 2})
    assert scale["status"] == {"replicas": 1, "selector": "a=b"}
    scale["spec"]["replicas"] = 4
    assert (await server.ok("PUT", f"{FOOS}/f/scale", scale))["spec"] == {"replicas": 4}
    assert (await server.ok("PATCH", f"{FOOS}/f/scale", {"spec": {"replicas": 5}}, **MERGE))["spec"] == {"replicas": 5}
    stored = await server.ok("GET", f"{FOOS}/f")
    assert (stored["spec"]["replicas"], stored["metadata"]["generation"]) == (5, 3)
    await server.ok("POST", FOOS, foo("none", spec={"a": 1}))
    answer = await server.call("GET", f"{FOOS}/none/scale", failing=True)
    assert answer.json()["message"] == 'the spec replicas field ".spec.replicas" does not exist'


async def test_selectable_fields_select_in_lists_and_watches(server: Any) -> None:
    """Those that the definition names, and no others."""
    await defined(server)
    async with server.watching(f"{FOOS}?watch=true&fieldSelector=spec.a=2") as events:
        for name, a in (("one", 1), ("two", 2)):
            await server.ok("POST", FOOS, foo(name, spec={"a": a}))
        assert await events.names(1) == [("ADDED", "two")]
        await server.ok("PATCH", f"{FOOS}/two", {"spec": {"a": 3}}, **MERGE)
        assert await events.names(1) == [("DELETED", "two")]
    listed = await server.ok("GET", f"{FOOS}?fieldSelector=spec.a=1,spec.c=zed")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["one"]
    message = "field label not supported: spec.b"
    await server.refused("GET", f"{FOOS}?fieldSelector=spec.b=x", 400, "BadRequest", message)


async def test_deprecated_versions_warn_with_every_answer(server: Any) -> None:
    """In the definition's words, or in ours."""
    await defined(server, deprecated=True)
    answer = await server.call("GET", FOOS)
    assert answer.headers["warning"] == '299 - "example.com/v1 Foo is deprecated"'


async def test_tables_have_the_columns_of_the_definition(server: Any) -> None:
    """By JSONPath, and no age unless asked for."""
    columns = [{"name": "A", "type": "integer", "jsonPath": ".spec.a"}]
    await defined(server, additionalPrinterColumns=columns)
    await server.ok("POST", FOOS, foo(spec={"a": 1}))
    table = await server.ok("GET", FOOS, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "A"]
    assert table["rows"][0]["cells"] == ["f", 1]


async def test_finalizers_without_a_domain_only_earn_a_warning(server: Any) -> None:
    """Unlike those of built-in kinds."""
    await defined(server)
    answer = await server.call("POST", FOOS, foo(metadata={"name": "f", "finalizers": ["mine"]}, spec={"a": 1}))
    assert answer.status_code == 201
    assert "prefer a domain-qualified finalizer name" in answer.headers["warning"]


async def test_owners_of_fields_follow_the_schema(server: Any) -> None:
    """Server-side apply merges lists by their keys and refuses fields that the schema does not have."""
    properties = {"name": {"type": "string"}, "v": {"type": "integer"}}
    item = {"type": "object", "required": ["name"], "properties": properties}
    listed = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"items": listed}}}}
    await server.ok("POST", DEFINITIONS, crd(version_of(schema=schema)))

    async def apply(who: str, spec: Any) -> Any:
        options = {"type": "application/apply-patch+yaml", "params": {"fieldManager": who}}
        return await server.call("PATCH", f"{FOOS}/f", foo(spec=spec), **options)

    await apply("a", {"items": [{"name": "x", "v": 1}]})
    merged = (await apply("b", {"items": [{"name": "y", "v": 2}]})).json()
    assert merged["spec"]["items"] == [{"name": "x", "v": 1}, {"name": "y", "v": 2}]
    conflict = (await apply("b", {"items": [{"name": "x", "v": 2}]})).json()
    assert conflict["message"] == 'Apply failed with 1 conflict: conflict with "a": .spec.items[name="x"].v'
    left = (await apply("a", {"items": []})).json()
    assert left["spec"]["items"] == [{"name": "y", "v": 2}]


async def test_admission_sees_custom_resources(server: Any) -> None:
    """What a hook leaves is pruned, defaulted and validated like what a client sends, also where it sees the Scale."""
    await defined(server)

    def change(review: Any) -> None:
        if review.object["kind"] == "Scale":
            review.object["spec"]["replicas"] += 1
        else:
            review.object["spec"] |= {"b": review.object["spec"].get("b", "x"), "zz": 1, "c": None}

    server.ctx.dynamic.hooks.add(change, resources=["foos.example.com", "foos.example.com/scale"])
    made = await server.ok("POST", FOOS, foo(spec={"a": 1, "replicas": 1}))
    assert made["spec"] == {"a": 1, "b": "x", "c": "zed", "replicas": 1}
    scaled = await server.ok("PATCH", f"{FOOS}/f/scale", {"spec": {"replicas": 5}}, **MERGE)
    assert scaled["spec"] == {"replicas": 6}
    answer = await server.call("POST", FOOS, foo("g", spec={"a": 1, "b": "q"}))
    assert answer.status_code == 422
    assert 'spec.b: Unsupported value: "q"' in answer.json()["message"]

"""Definitions and objects that nobody means well by: refused or served, but never a 500, and the server lives on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.apiserver.custom.definitions import DEFINITIONS, FOOS, crd, foo, schema_of, version_of

pytestmark = pytest.mark.anyio

TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.sampled_from(["object", "a", "(", "x" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "metadata"]), inner),
    max_leaves=12,
)
NUMBERS = st.sampled_from([0, 1, -1, 2.5, 10**18])
RULES = st.sampled_from(
    ["self.a == 1", "self == oldSelf", "has(self.b)", "self.all(x, x > 1)", "1 / 0 == 1", "(", "true"]
)
WORDS: dict[str, Any] = {
    "type": st.sampled_from(["object", "object", "array", "string", "integer", "number", "boolean", "null", "x"]),
    "required": st.lists(st.sampled_from(["a", "b"]), max_size=2),
    "default": TREES,
    "enum": st.lists(TREES, max_size=2),
    "pattern": st.sampled_from(["^a", "(", "(a+)+$", "\\1"]),
    "format": st.sampled_from(["date", "ipv4", "int32", "byte", "x"]),
    "maximum": NUMBERS,
    "exclusiveMaximum": st.booleans(),
    "multipleOf": NUMBERS,
    "maxLength": st.integers(-1, 3),
    "maxItems": st.integers(-1, 3),
    "nullable": st.booleans(),
    "x-kubernetes-preserve-unknown-fields": st.just(True),
    "x-kubernetes-embedded-resource": st.booleans(),
    "x-kubernetes-int-or-string": st.booleans(),
    "x-kubernetes-list-type": st.sampled_from(["map", "set", "atomic", "x"]),
    "x-kubernetes-list-map-keys": st.lists(st.sampled_from(["a", "b"]), max_size=2),
    "x-kubernetes-map-type": st.sampled_from(["atomic", "granular"]),
    "x-kubernetes-validations": st.lists(
        st.fixed_dictionaries({"rule": RULES}, optional={"message": RULES}), max_size=2
    ),
}


def some(words: dict[str, Any], at_most: int) -> st.SearchStrategy[dict[str, Any]]:
    """A few of the keywords."""
    chosen = st.lists(st.sampled_from(sorted(words)), max_size=at_most, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: words[name] for name in names}))


def above(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    members = st.dictionaries(st.sampled_from(["a", "b", "metadata", "kind"]), inner, max_size=3)
    nested = st.sampled_from(["anyOf", "oneOf", "allOf"]).flatmap(
        lambda name: st.fixed_dictionaries({name: st.lists(inner, max_size=2)})
    )
    return st.one_of(
        members.map(lambda found: {"type": "object", "properties": found}),
        inner.map(lambda found: {"type": "array", "items": found}),
        inner.map(lambda found: {"type": "object", "additionalProperties": found}),
        st.tuples(inner, nested).map(lambda parts: {**parts[0], **parts[1]}),
        st.tuples(inner, some(WORDS, 1)).map(lambda parts: {**parts[0], **parts[1]}),
    )


PLAIN = st.sampled_from([{"type": name} for name in ("object", "string", "integer", "boolean", "number")])
SCHEMA = st.recursive(PLAIN | some(WORDS, 2), above, max_leaves=8)
SPECS = st.dictionaries(st.sampled_from(["a", "b"]), SCHEMA, max_size=2)
SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


async def remove(server: Any) -> None:
    """Deletes the definition and what is left of its objects."""
    await server.call("DELETE", f"{DEFINITIONS}/foos.example.com")


@SETTINGS
@given(properties=SPECS, doc=TREES)
async def test_schemas(server: Any, properties: dict[str, Any], doc: Any) -> None:
    """Schemas that are nearly sound, and any JSON as an object of what came of them."""
    definition = crd(version_of(schema={"type": "object", "properties": properties}))
    answer = await server.call("POST", DEFINITIONS, definition)
    assert answer.status_code in (201, 400, 422), answer.text
    if answer.status_code == 201:
        for body in (foo(spec=doc), {**foo("g"), "a": doc, "b": doc}):
            assert (await server.call("POST", FOOS, body)).status_code in (201, 400, 422)
        await server.ok("GET", FOOS)
        await server.ok("GET", "/openapi/v3/apis/example.com/v1")
        await remove(server)
    assert not server.ctx.store.occupied("foos.example.com")


@SETTINGS
@given(spec=st.dictionaries(
    st.sampled_from(["group", "names", "scope", "versions", "conversion", "preserveUnknownFields"]), TREES, max_size=3
))  # fmt: skip
async def test_specs(server: Any, spec: dict[str, Any]) -> None:
    """Any JSON in place of a part of the spec."""
    definition = crd()
    definition["spec"].update(spec)
    answer = await server.call("POST", DEFINITIONS, definition)
    assert answer.status_code in (201, 400, 422), answer.text
    if answer.status_code == 201:
        await remove(server)


@SETTINGS
@given(status=TREES)
async def test_statuses(server: Any, status: Any) -> None:
    """Any JSON as a status: it is refused, or the resource is served all the same."""
    made = await server.ok("POST", DEFINITIONS, crd())
    answer = await server.call("PUT", f"{DEFINITIONS}/foos.example.com/status", {**made, "status": status})
    assert answer.status_code in (200, 400, 422), answer.text
    await server.ok("GET", FOOS)
    await remove(server)


async def test_hostile_patterns_and_rules_end(server: Any) -> None:
    """A pattern that would backtrack for ever is matched at once; a rule that costs too much is an error.

    A rule that could cost more than ten million is refused with its definition; this one may cost nearly as much.
    """
    costly = "self.all(x, self.all(y, self.all(z, x + y + z < 0 || x + y + z >= 0)))"
    listed = {
        "type": "array", "maxItems": 80, "items": {"type": "integer"}, "x-kubernetes-validations": [{"rule": costly}],
    }  # fmt: skip
    schema = schema_of(a={"type": "string", "pattern": "^(a+)+$"}, b=listed)
    await server.ok("POST", DEFINITIONS, crd(version_of(schema=schema)))
    answer = await server.call("POST", FOOS, foo(spec={"a": "a" * 5000 + "!"}))
    assert "spec.a in body should match" in answer.text
    answer = await server.call("POST", FOOS, foo(spec={"b": list(range(80))}))
    assert answer.status_code == 422
    assert "no further validation rules will be run due to call cost exceeds limit for rule" in answer.text

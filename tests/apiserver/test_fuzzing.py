"""No request whatsoever ends in a bug of ours, and one that is refused leaves the store as it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minik8s.api.request import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, PROTOBUF, STRATEGIC_PATCH, YAML
from minik8s.api.resources import BUILTIN
from minik8s.schema.table import Type

UPSTREAM_500 = (
    "",
    "resourceVersion should not be set on objects to be created",
    "range is full",
    "failed to create typed patch object",
)
"""Texts that upstream, too, answers with a 500; the first stands for a watch from a version that is no number."""

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["", "a", "10Mi", "-1", "1e400", "2026-01-01T00:00:00Z", "25%", "None", "a/b", "=", "\x00", "é"]),
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.one_of(
    st.sampled_from(["a", "default", "kube-system", "t1", "", "watch", "true", "A", "..", "a/b", "*", "é", "\x00"]),
    st.text(max_size=5),
)
OPTIONS = [
    "watch", "limit", "continue", "resourceVersion", "resourceVersionMatch", "labelSelector", "fieldSelector",
    "sendInitialEvents", "allowWatchBookmarks", "timeoutSeconds", "dryRun", "fieldManager", "fieldValidation", "force",
    "gracePeriodSeconds", "propagationPolicy", "orphanDependents", "includeObject", "pretty", "container", "tailLines",
    "sinceTime", "sinceSeconds", "verbose", "hash", "stream",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ["", "true", "0", "1", "-1", "All", "Strict", "Exact", "NotOlderThan", "99999999999999999999", "a=b",
         "a in (b)", "metadata.name=a", "spec.nodeName!=x", "Foreground", "Orphan", "Object", "x" * 200]
    ),
    st.text(max_size=8),
)  # fmt: skip
QUERIES = st.lists(st.tuples(st.sampled_from(OPTIONS) | st.text(max_size=4), VALUES), max_size=4)
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
CONTENT_TYPES = st.sampled_from(
    ["", "application/json", YAML, PROTOBUF, MERGE_PATCH, STRATEGIC_PATCH, JSON_PATCH, APPLY_PATCH, "text/plain", ";;"]
)
ACCEPTS = st.sampled_from(
    ["", "*/*", YAML, "application/json;as=Table;v=v1;g=meta.k8s.io", "text/html", ";;,=;as=;", PROTOBUF,
     "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
     "application/json;as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io"]
)  # fmt: skip
RESOURCES = st.sampled_from(BUILTIN)


@st.composite
def paths(draw: Any) -> str:
    """Mostly of real resources, in and out of namespaces, with names, subresources and stray parts."""
    resource = draw(RESOURCES)
    parts = ["apis", resource.group, resource.version] if resource.group else ["api", resource.version]
    if draw(st.integers(0, 9)) == 0:
        parts.append("watch")
    if draw(st.booleans()) if not resource.namespaced else draw(st.integers(0, 9)):
        parts += ["namespaces", draw(st.sampled_from(["default", "nope", ""]))]
    parts.append(resource.plural)
    if draw(st.booleans()):
        parts.append(draw(WORDS))
        if resource.subresources and draw(st.booleans()):
            parts.append(draw(st.sampled_from(resource.subresources)).name)
    if draw(st.integers(0, 9)) == 0:
        parts.append(draw(WORDS))
    return "/" + "/".join(quote(part, safe="") for part in parts)


def values_of(type_: Type, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that mostly fit a type of the table, with a few that do not."""
    if depth > 4:
        return SCALARS
    if type_.kind == "struct":
        fields = {
            name: st.deferred(lambda f=field: values_of(f.type, depth + 1)) for name, field in type_.fields.items()
        }
        if not fields:
            return st.just({})
        some = st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True)
        return some.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))
    if type_.item is not None:
        item = values_of(type_.item, depth + 1)
        return st.lists(item, max_size=2) if type_.kind == "list" else st.dictionaries(WORDS, item, max_size=2)
    if type_.kind in ("int32", "int64"):
        return st.integers(-2, 70000) | SCALARS
    if type_.kind == "bool":
        return st.booleans()
    return st.sampled_from(["a", "web", "1", "100m", "TCP", "2026-01-01T00:00:00Z", ""]) | SCALARS


@st.composite
def objects(draw: Any) -> tuple[Any, dict[str, Any]]:
    """A resource and a body that could be one of its objects."""
    resource = draw(RESOURCES)
    body = draw(values_of(resource.type))
    metadata = draw(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["a", "b", "é", ""])},
            optional={
                "generateName": WORDS,
                "labels": st.dictionaries(WORDS, WORDS, max_size=2),
                "annotations": st.dictionaries(WORDS, SCALARS, max_size=2),
                "finalizers": st.lists(WORDS, max_size=2),
                "ownerReferences": JSON_VALUES,
                "resourceVersion": VALUES,
                "managedFields": JSON_VALUES,
            },
        )
    )
    return resource, {**body, "metadata": metadata}


BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=40),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40).map(lambda raw: b"k8s\x00" + raw),
    st.fixed_dictionaries(
        {"metadata": st.dictionaries(st.sampled_from(["name", "labels", "finalizers"]), JSON_VALUES, max_size=3)},
        optional={"spec": JSON_VALUES, "status": JSON_VALUES, "data": JSON_VALUES, "kind": JSON_VALUES},
    ).map(lambda value: json.dumps(value).encode()),
)


async def send(server: Any, method: str, url: str, body: bytes, headers: dict[str, str]) -> Any:
    """One request; of a stream only the beginning. Checks what is true of every answer."""
    before = server.ctx.store.revision
    with anyio.fail_after(10):
        async with server.http.stream(method, url, content=body, headers=headers) as response:
            length = "content-length" in response.headers
            content = await response.aread() if length or response.status_code >= 400 else b""
    text = content.decode(errors="replace")
    if response.status_code >= 500 and response.status_code not in (501, 503, 504):
        known = any(words and words in text for words in UPSTREAM_500) or "strconv.ParseUint" in text
        assert known, f"{method} {url} {body!r}: {text}"
    if response.status_code >= 400:
        assert server.ctx.store.revision == before, f"{method} {url} {body!r} was refused and has written something"
    return response


async def readable(server: Any, resources: Iterable[Any]) -> None:
    """Whatever has been written, it can still be listed, in every shape."""
    for resource in resources:
        if "list" in resource.verbs:
            for accept in ("*/*", "application/json;as=Table;v=v1;g=meta.k8s.io"):
                response = await server.call("GET", resource.path(), headers={"accept": accept})
                assert response.status_code == 200, response.text
                response.json()
    await server.settle()
    assert server.watchers == 0


def latin(text: str) -> str:
    return "".join(c for c in text if 32 <= ord(c) < 127)


@pytest.mark.parametrize("seed", range(2))
def test_any_request(start: Any, seed: int) -> None:
    """Methods, paths, parameters, types and bytes at random."""

    call = st.tuples(METHODS, paths(), QUERIES, BODIES, CONTENT_TYPES, ACCEPTS)

    @SETTINGS
    @given(st.lists(call, min_size=1, max_size=6))
    def run(calls: list[Any]) -> None:
        async def body() -> None:
            async with start() as server:
                for method, path, query, content, content_type, accept in calls:
                    parameters = "&".join(f"{quote(k)}={quote(v)}" for k, v in query)
                    headers = {"content-type": latin(content_type), "accept": latin(accept)}
                    await send(server, method, f"{path}?{parameters}", content, headers)
                await server.settle()
                assert server.watchers == 0

        anyio.run(body)

    run()


def test_any_object(start: Any) -> None:
    """Objects of every kind, created, replaced, patched with themselves, deleted; and listed in between."""

    @SETTINGS
    @given(st.lists(objects(), min_size=1, max_size=4))
    def run(bodies: list[Any]) -> None:
        async def body() -> None:
            async with start() as server:
                for resource, obj in bodies:
                    path = resource.path("default")
                    content = json.dumps(obj).encode()
                    await send(server, "POST", path, content, {})
                    name = quote(obj["metadata"]["name"] or "a", safe="")
                    await send(server, "PUT", f"{path}/{name}", content, {})
                    for kind in (MERGE_PATCH, STRATEGIC_PATCH):
                        await send(server, "PATCH", f"{path}/{name}", content, {"content-type": kind})
                    identity = {"apiVersion": resource.api_version, "kind": resource.kind}
                    for force in ("true", "false"):
                        url, config = f"{path}/{name}?fieldManager=f{force}&force={force}", {**obj, **identity}
                        await send(server, "PATCH", url, json.dumps(config).encode(), {"content-type": APPLY_PATCH})
                    for sub in resource.subresources:
                        await send(server, "PUT", f"{path}/{name}/{sub.name}", content, {})
                        await send(server, "POST", f"{path}/{name}/{sub.name}", content, {})
                await readable(server, {resource for resource, _ in bodies})
                for resource, _ in bodies:
                    await send(server, "DELETE", resource.path("default"), b"", {})

        anyio.run(body)

    run()


def test_any_patch(start: Any) -> None:
    """Patches at random on an object with something of everything."""
    pod = {
        "metadata": {"name": "a", "labels": {"a": "b"}, "finalizers": ["example.com/x"]},
        "spec": {
            "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}], "env": [{"name": "A"}]}],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "tolerations": [{"operator": "Exists"}],
        },
    }
    keys = st.sampled_from(
        ["metadata", "spec", "containers", "name", "labels", "volumes", "$patch", "$retainKeys", "env", "ports",
         "status", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers", "finalizers", "image",
         "tolerations"]
    )  # fmt: skip
    words = st.sampled_from(["delete", "replace", "merge", "a", "c", "v", 80, None, {}, []])
    trees = st.recursive(
        words | SCALARS, lambda t: st.dictionaries(keys, t, max_size=3) | st.lists(t, max_size=3), max_leaves=8
    )
    pointer = st.lists(keys | st.sampled_from(["0", "-1", "-", "~1", "01", "é"]), max_size=4).map(
        lambda tokens: "".join(f"/{token}" for token in tokens)
    )
    operation = st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": pointer},
        optional={"from": pointer, "value": trees},
    )
    patches = st.one_of(
        st.tuples(st.just(JSON_PATCH), st.lists(operation, max_size=4)),
        st.tuples(
            st.sampled_from([MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH]), st.dictionaries(keys, trees, max_size=3)
        ),
    )

    @SETTINGS
    @given(st.lists(patches, min_size=1, max_size=6), st.sampled_from(["", "/status", "/scale"]))
    def run(drawn: list[Any], sub: str) -> None:
        async def body() -> None:
            async with start() as server:
                await server.ok("POST", "pods", pod)
                for content_type, patch in drawn:
                    url = f"/api/v1/namespaces/default/pods/a{sub}?fieldManager=f"
                    if content_type == APPLY_PATCH:
                        patch = {**patch, "apiVersion": "v1", "kind": "Pod"}
                    await send(server, "PATCH", url, json.dumps(patch).encode(), {"content-type": content_type})
                    assert (await server.call("GET", "pods")).status_code == 200

        anyio.run(body)

    run()

"""Several versions of one custom resource: conversion by renaming and by webhook, storage versions that change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.custom.definitions import DEFINITIONS, FOOS, crd, foo, schema_of, version_of

pytestmark = pytest.mark.anyio

MERGE = {"type": "application/merge-patch+json"}
STRING = {"type": "string"}
FOOS2 = FOOS.replace("/v1/", "/v2/")


def two_versions(stored: str = "v1", **spec: Any) -> dict[str, Any]:
    """v1 has `a`, v2 has `a` and `b`; `b` has a default."""
    one = version_of("v1", schema_of(a=STRING), storage=stored == "v1")
    two = version_of("v2", schema_of(a=STRING, b={**STRING, "default": "new"}), storage=stored == "v2")
    return crd(one, two, **spec)


async def test_every_version_shows_every_object(server: Any) -> None:
    """With its own fields and defaults, whichever it was written in; the newer version is preferred."""
    await server.ok("POST", DEFINITIONS, two_versions())
    await server.ok("POST", FOOS, foo("one", spec={"a": "x"}))
    await server.ok("POST", FOOS2, foo("two", "v2", spec={"a": "y", "b": "z"}))
    old = await server.ok("GET", FOOS)
    assert [(i["apiVersion"], i["spec"]) for i in old["items"]] == [
        ("example.com/v1", {"a": "x"}),
        ("example.com/v1", {"a": "y"}),
    ]
    new = await server.ok("GET", FOOS2)
    assert [(i["apiVersion"], i["spec"]) for i in new["items"]] == [
        ("example.com/v2", {"a": "x", "b": "new"}),
        ("example.com/v2", {"a": "y", "b": "new"}),  # the storage version has no b
    ]
    group = await server.ok("GET", "/apis/example.com")
    assert group["preferredVersion"]["version"] == "v2"


async def test_watches_in_every_version_see_the_same(server: Any) -> None:
    """Each in its own words."""
    await server.ok("POST", DEFINITIONS, two_versions())
    async with server.watching(f"{FOOS}?watch=true") as old, server.watching(f"{FOOS2}?watch=true") as new:
        await server.ok("POST", FOOS2, foo("x", "v2", spec={"a": "y"}))
        for events, version, spec in ((old, "v1", {"a": "y"}), (new, "v2", {"a": "y", "b": "new"})):
            event = await events.next()
            assert (event["type"], event["object"]["apiVersion"], event["object"]["spec"]) == (
                "ADDED",
                f"example.com/{version}",
                spec,
            )


async def test_the_storage_version_changes(server: Any) -> None:
    """What was stored before is still read, and an empty update migrates it."""
    made = await server.ok("POST", DEFINITIONS, two_versions())
    await server.ok("POST", FOOS, foo("old", spec={"a": "x"}))
    for version in made["spec"]["versions"]:
        version["storage"] = version["name"] == "v2"
    changed = await server.ok("PUT", f"{DEFINITIONS}/foos.example.com", made)
    assert changed["status"]["storedVersions"] == ["v1", "v2"]
    seen = await server.ok("GET", f"{FOOS2}/old")
    assert seen["spec"] == {"a": "x", "b": "new"}
    entry = server.ctx.store.peek(("foos.example.com", "default", "old"))
    assert entry.value["apiVersion"] == "example.com/v1"
    await server.ok("PUT", f"{FOOS2}/old", seen)
    entry = server.ctx.store.peek(("foos.example.com", "default", "old"))
    assert (entry.value["apiVersion"], entry.value["spec"]) == ("example.com/v2", {"a": "x", "b": "new"})
    assert (await server.ok("GET", f"{FOOS}/old"))["spec"] == {"a": "x"}


async def test_a_stored_version_cannot_be_forgotten(server: Any) -> None:
    """Until status.storedVersions no longer names it."""
    made = await server.ok("POST", DEFINITIONS, two_versions("v2"))
    made["status"]["storedVersions"] = ["v1", "v2"]
    made = await server.ok("PUT", f"{DEFINITIONS}/foos.example.com/status", made)
    made["spec"]["versions"] = made["spec"]["versions"][1:]
    answer = await server.call("PUT", f"{DEFINITIONS}/foos.example.com", made)
    assert answer.status_code == 422
    assert answer.json()["details"]["causes"][0]["field"] == "status.storedVersions[0]"
    current = await server.ok("GET", f"{DEFINITIONS}/foos.example.com")
    current["status"]["storedVersions"] = ["v2"]
    current = await server.ok("PUT", f"{DEFINITIONS}/foos.example.com/status", current)
    current["spec"]["versions"] = current["spec"]["versions"][1:]
    async with server.watching(f"{FOOS}?watch=true") as events:
        await server.ok("PUT", f"{DEFINITIONS}/foos.example.com", current)
        assert await events.rest() == []
    assert (await server.call("GET", FOOS)).status_code == 404
    await server.ok("GET", FOOS2)


async def test_a_version_that_is_not_served_is_not_there(server: Any) -> None:
    """Though objects are stored in it."""
    definition = two_versions()
    definition["spec"]["versions"][0]["served"] = False
    await server.ok("POST", DEFINITIONS, definition)
    assert (await server.call("GET", FOOS)).status_code == 404
    await server.ok("POST", FOOS2, foo("x", "v2", spec={"a": "y"}))
    assert server.ctx.store.peek(("foos.example.com", "default", "x")).value["apiVersion"] == "example.com/v1"
    await server.ok("DELETE", f"{DEFINITIONS}/foos.example.com")
    assert not server.ctx.store.occupied("foos.example.com")


# webhooks


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """v1 says `a`, v2 says `b` for the same thing."""
    to_two = request["desiredAPIVersion"].endswith("/v2")
    done = []
    for obj in request["objects"]:
        spec = {("b" if to_two else "a"): obj["spec"]["a" if to_two else "b"]}
        done.append({**obj, "apiVersion": request["desiredAPIVersion"], "spec": spec})
    return {"convertedObjects": done, "result": {"status": "Success"}}


async def defined(server: Any, backend: Any, answer: Any = convert) -> None:
    webhook = {"clientConfig": backend.on("/convert", answer), "conversionReviewVersions": ["v1"]}
    one = version_of("v1", schema_of(a=STRING))
    two = version_of("v2", schema_of(b=STRING), storage=False, subresources={"status": {}})
    await server.ok("POST", DEFINITIONS, crd(one, two, conversion={"strategy": "Webhook", "webhook": webhook}))


async def test_a_webhook_converts_what_is_read_and_written(server: Any, backend: Any) -> None:
    """In lists, watches, patches and applied configurations, with as few calls as there are lists."""
    await defined(server, backend)
    for name in ("one", "two"):
        await server.ok("POST", FOOS, foo(name, spec={"a": name}))
    assert not backend.reviews
    listed = await server.ok("GET", FOOS2)
    assert [i["spec"] for i in listed["items"]] == [{"b": "one"}, {"b": "two"}]
    assert len(backend.reviews) == 1
    await server.ok("GET", f"{FOOS2}/one")
    assert len(backend.reviews) == 1
    made = await server.ok("POST", FOOS2, foo("three", "v2", spec={"b": "three"}))
    assert made["spec"] == {"b": "three"}
    assert server.ctx.store.peek(("foos.example.com", "default", "three")).value["spec"] == {"a": "three"}
    async with server.watching(f"{FOOS2}?watch=true&fieldSelector=metadata.name!=one") as events:
        assert await events.names(2) == [("ADDED", "three"), ("ADDED", "two")]
        patched = await server.ok("PATCH", f"{FOOS2}/two", {"spec": {"b": "changed"}}, **MERGE)
        assert (patched["spec"], patched["metadata"]["generation"]) == ({"b": "changed"}, 2)
        event = await events.next()
        assert (event["type"], event["object"]["spec"]) == ("MODIFIED", {"b": "changed"})
        await server.ok("DELETE", f"{FOOS}/two")
        event = await events.next()
        assert (event["type"], event["object"]["spec"]) == ("DELETED", {"b": "changed"})
    apply = {"type": "application/apply-patch+yaml", "params": {"fieldManager": "me", "force": "true"}}
    applied = await server.ok("PATCH", f"{FOOS2}/one", foo("one", "v2", spec={"b": "applied"}), **apply)
    assert applied["spec"] == {"b": "applied"}
    assert (await server.ok("GET", f"{FOOS}/one"))["spec"] == {"a": "applied"}
    deleted = await server.ok("DELETE", FOOS2)
    assert [i["spec"] for i in deleted["items"]] == [{"b": "applied"}, {"b": "three"}]


def response(**changes: Any) -> Any:
    """An answer that converts, but for these fields."""
    return lambda request: {**convert(request), **changes}


def meddling(**metadata: Any) -> Any:
    """An answer that changes metadata."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        done = convert(request)
        for obj in done["convertedObjects"]:
            obj["metadata"] = {**obj["metadata"], **metadata}
        return done

    return answer


WHO = "conversion webhook for example.com/v1, Kind=Foo"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (response(result={"status": "Failure", "message": "no way"}), f"{WHO} failed: no way"),
        (response(convertedObjects=[]), f"{WHO} returned 0 objects, expected 1"),
        (
            response(convertedObjects=[{"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "f"}}]),
            f"{WHO} returned invalid converted object at index 0: invalid groupVersion "
            "(expected example.com/v2, received example.com/v1)",
        ),
        (
            meddling(name="g"),
            f"{WHO} returned invalid metadata for object at index 0: must have the same name: f != g",
        ),
        (lambda request: 500, f"{WHO} failed: failed to call webhook: "),
        (lambda request: b"{", f"{WHO} failed: failed to call webhook: "),
    ],
)
async def test_what_a_webhook_does_wrong_is_told(server: Any, backend: Any, answer: Any, message: str) -> None:
    """As a 500 in upstream's words: for who reads, lists and writes; a watch ends with the error."""
    await defined(server, backend, answer)
    await server.ok("POST", FOOS, foo(spec={"a": "x"}))
    for method, path, body in (
        ("GET", f"{FOOS2}/f", None),
        ("GET", FOOS2, None),
        ("PUT", f"{FOOS2}/f", foo(version="v2", metadata={"name": "f", "resourceVersion": "1"}, spec={"b": "y"})),
    ):
        status = (await server.call(method, path, body, failing=True)).json()
        assert status["code"] == 500
        assert status["message"].startswith(message)
    async with server.watching(f"{FOOS2}?watch=true") as events:
        event = await events.next()
        assert (event["type"], event["object"]["code"]) == ("ERROR", 500)


async def test_a_definition_goes_though_its_webhook_is_down(server: Any, backend: Any) -> None:
    """Its objects need not be shown to anybody to be deleted, in whatever version they are stored."""
    await defined(server, backend)
    await server.ok("POST", FOOS, foo("free", spec={"a": "x"}))
    await server.ok("POST", FOOS, foo(metadata={"name": "held", "finalizers": ["a.b/c"]}, spec={"a": "x"}))
    definition = await server.ok("GET", f"{DEFINITIONS}/foos.example.com")
    for version in definition["spec"]["versions"]:
        version["storage"] = version["name"] == "v2"
    await server.ok("PUT", f"{DEFINITIONS}/foos.example.com", definition)
    backend.on("/convert", lambda request: 503)
    await server.ok("DELETE", f"{DEFINITIONS}/foos.example.com")
    assert [entry.key[2] for entry in server.ctx.store.scan(("foos.example.com",))] == ["held"]
    backend.on("/convert", convert)
    await server.ok("PATCH", f"{FOOS}/held", {"metadata": {"finalizers": None}}, **MERGE)
    assert (await server.call("GET", f"{DEFINITIONS}/foos.example.com")).status_code == 404


async def test_a_webhook_may_change_labels_and_annotations_only(server: Any, backend: Any) -> None:
    """Whatever else it says about metadata is not heard."""
    await defined(server, backend, meddling(labels={"x": "y"}, generation=77, finalizers=["a/b"]))
    made = await server.ok("POST", FOOS, foo(spec={"a": "x"}))
    seen = await server.ok("GET", f"{FOOS2}/f")
    assert seen["metadata"] == {**made["metadata"], "labels": {"x": "y"}}

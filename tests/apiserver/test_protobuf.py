"""Answers in protobuf: the same objects as in JSON, in one's own envelope, in lists and in a stream of frames."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
import yaml

from minik8s.api.request import PROTOBUF
from minik8s.api.resources import BUILTIN
from minik8s.schema import table
from minik8s.schema.decode import decode
from minik8s.schema.protobuf import decode_envelope, decode_message
from minik8s.schema.protowrite import message_type
from minik8s.schema.wire import fields

pytestmark = pytest.mark.anyio

CLIENT_GO = f"{PROTOBUF},application/json"
STREAM = f"{PROTOBUF};stream=watch"
PARTIAL = f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIALS = f"{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TABLE = f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1"
POD = {
    "metadata": {"name": "web", "labels": {"b": "2", "a": "1"}, "annotations": {"e": ""}},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "i",
                "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}},
                "readinessProbe": {"httpGet": {"port": "http"}},
                "livenessProbe": {"tcpSocket": {"port": 80}},
            }
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
}


def readable(envelope: bytes) -> dict[str, Any]:
    """The object in an envelope, as JSON would show it."""
    api_version, kind, raw = decode_envelope(envelope)
    type_ = message_type(api_version, kind)
    assert type_ is not None, f"{api_version} {kind} has no protobuf form"
    obj = decode({"kind": kind, "apiVersion": api_version, **decode_message(raw, type_)}, type_, kind).obj
    return {"kind": kind, "apiVersion": api_version, **obj}


def listed(body: bytes, type_: table.Type) -> tuple[str, str, dict[str, Any], list[dict[str, Any]]]:
    """apiVersion, kind, metadata and items of a list."""
    api_version, kind, raw = decode_envelope(body)
    metadata: dict[str, Any] = {}
    items = []
    for number, value in fields(raw):
        assert isinstance(value, bytes)
        if number == 1:
            metadata = decode_message(value, table.struct("meta/v1", "ListMeta"))
        else:
            items.append(decode(decode_message(value, type_), type_, "x").obj)
    return api_version, kind, metadata, items


async def frames(response: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """(type, object) of a watch's events."""
    buffer = b""
    async for chunk in response.aiter_raw():
        buffer += chunk
        while len(buffer) >= 4 and len(buffer) >= 4 + (size := int.from_bytes(buffer[:4], "big")):
            event = decode_message(buffer[4 : 4 + size], table.struct("meta/v1", "WatchEvent"))
            raw = dict(fields(buffer[4 : 4 + size]))[2]
            assert isinstance(raw, bytes)
            yield event["type"], readable(dict(fields(raw))[1])  # type: ignore[arg-type]
            buffer = buffer[4 + size :]
    assert not buffer, "the stream ends within a frame"


@pytest.mark.parametrize("accept", [CLIENT_GO, PROTOBUF, f"text/html,{PROTOBUF}"])
async def test_an_object_is_the_one_that_json_shows(server: Any, accept: str) -> None:
    """Created, got and deleted, with quantities, times, maps and either form of int-or-string."""
    created = await server.call("POST", "pods", POD, headers={"accept": accept})
    assert (created.status_code, created.headers["content-type"]) == (201, PROTOBUF)
    shown = await server.ok("GET", "pods/web")
    got = await server.call("GET", "pods/web", headers={"accept": accept})
    assert readable(got.content) == readable(created.content) == decode(shown, message_type("v1", "Pod"), "Pod").obj
    deleted = await server.call("DELETE", "pods/web", headers={"accept": accept})
    assert readable(deleted.content)["metadata"]["name"] == "web"


async def test_other_answers_have_their_own_types(server: Any) -> None:
    """A Status for a deletion and for an error, a Scale, a review."""
    headers = {"accept": CLIENT_GO}
    missing = await server.call("GET", "pods/none", headers=headers)
    assert (missing.status_code, missing.headers["content-type"]) == (404, PROTOBUF)
    status = readable(missing.content)
    assert (status["kind"], status["apiVersion"], status["reason"]) == ("Status", "v1", "NotFound")
    assert status["details"] == {"name": "none", "kind": "pods"}
    await server.ok("POST", "configmaps", {"metadata": {"name": "c"}})
    deleted = readable((await server.call("DELETE", "configmaps/c", headers=headers)).content)
    assert (deleted["kind"], deleted["status"], deleted["details"]["name"]) == ("Status", "Success", "c")
    review = await server.call(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {"metadata": {}}, headers=headers
    )
    assert readable(review.content)["kind"] == "SelfSubjectReview"


async def test_a_list_in_pages(server: Any) -> None:
    """Items without their kind, and the list's own metadata."""
    for name in ("a", "b", "c"):
        await server.ok("POST", "configmaps", {"metadata": {"name": name}, "data": {"k": name}})
    type_ = table.struct("core/v1", "ConfigMap")
    page = await server.call("GET", "configmaps?limit=2", headers={"accept": CLIENT_GO})
    api_version, kind, metadata, items = listed(page.content, type_)
    assert (api_version, kind) == ("v1", "ConfigMapList")
    assert [item["data"]["k"] for item in items] == ["a", "b"]
    assert metadata["resourceVersion"] == str(server.ctx.store.revision)
    assert metadata["remainingItemCount"] == 1
    rest = await server.call("GET", f"configmaps?continue={metadata['continue']}", headers={"accept": CLIENT_GO})
    assert [item["data"]["k"] for item in listed(rest.content, type_)[3]] == ["c"]
    none = await server.call("GET", "pods", headers={"accept": CLIENT_GO})
    assert listed(none.content, table.struct("core/v1", "Pod"))[3] == []


async def test_many_objects_are_one_list(server: Any) -> None:
    """What is sent in chunks is one message of the announced length."""
    for number in range(600):
        await server.client.create(CONFIG_MAPS, {"metadata": {"name": f"c{number:03}", "namespace": "default"}})
    page = await server.call("GET", "configmaps", headers={"accept": CLIENT_GO})
    items = listed(page.content, table.struct("core/v1", "ConfigMap"))[3]
    assert [item["metadata"]["name"] for item in items] == [f"c{number:03}" for number in range(600)]


CONFIG_MAPS = next(resource for resource in BUILTIN if resource.plural == "configmaps")


@pytest.mark.parametrize("accept", [CLIENT_GO, STREAM])
async def test_a_watch_is_a_stream_of_frames(server: Any, accept: str) -> None:
    """Each has its length before it and the object in an envelope of its own."""
    await server.ok("POST", "configmaps", {"metadata": {"name": "a"}})
    url = "/api/v1/namespaces/default/configmaps?watch=1&allowWatchBookmarks=1"
    with anyio.fail_after(10):
        async with server.http.stream("GET", url, headers={"accept": accept}) as response:
            assert response.headers["content-type"] == STREAM
            events = frames(response)
            assert [(await anext(events))[0] for _ in range(2)] == ["ADDED", "BOOKMARK"]
            await server.ok("PATCH", "configmaps/a", {"data": {"k": "v"}}, type="application/merge-patch+json")
            type_, changed = await anext(events)
            assert (type_, changed["data"], changed["kind"]) == ("MODIFIED", {"k": "v"}, "ConfigMap")
            await server.ok("DELETE", "configmaps/a")
            assert (await anext(events))[0] == "DELETED"
            await events.aclose()


async def test_a_watch_of_metadata(server: Any) -> None:
    """What the garbage collector's informers ask for."""
    await server.ok("POST", "configmaps", {"metadata": {"name": "a"}, "data": {"k": "v"}})
    accept = f"{PARTIAL},application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
    with anyio.fail_after(10):
        url = "/api/v1/namespaces/default/configmaps?watch=1"
        async with server.http.stream("GET", url, headers={"accept": accept}) as response:
            events = frames(response)
            type_, shown = await anext(events)
            await events.aclose()
    assert (type_, shown["kind"], shown["apiVersion"]) == ("ADDED", "PartialObjectMetadata", "meta.k8s.io/v1")
    assert (shown["metadata"]["name"], "data" in shown) == ("a", False)


async def test_watchers_of_two_encodings_do_not_mix(server: Any) -> None:
    """Each is told in its own, though both watch the same."""
    url = "/api/v1/namespaces/default/configmaps?watch=1"
    with anyio.fail_after(10):
        async with (
            server.http.stream("GET", url, headers={"accept": PROTOBUF}) as binary,
            server.watching(url) as lines,
        ):
            events = frames(binary)
            for name in ("a", "b", "c"):
                await server.ok("POST", "configmaps", {"metadata": {"name": name}})
                assert (await anext(events))[1]["metadata"]["name"] == name
                assert (await lines.next())["object"]["metadata"]["name"] == name
            await events.aclose()


async def test_an_expired_watch_says_so_in_a_frame(server: Any) -> None:
    """ERROR with a Status."""
    await server.ctx.store.compact(server.ctx.store.revision)
    url = "/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=1"
    with anyio.fail_after(10):
        async with server.http.stream("GET", url, headers={"accept": PROTOBUF}) as response:
            events = [event async for event in frames(response)]
    assert [(type_, status["code"], status["reason"]) for type_, status in events] == [("ERROR", 410, "Expired")]


async def test_metadata_only(server: Any) -> None:
    """One object, a list of them, and never a table."""
    await server.ok("POST", "configmaps", {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "v"}})
    one = readable((await server.call("GET", "configmaps/a", headers={"accept": PARTIAL})).content)
    assert (one["kind"], one["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert one["metadata"]["labels"] == {"x": "y"}
    assert "data" not in one
    many = await server.call("GET", "configmaps", headers={"accept": PARTIALS})
    api_version, kind, _, items = listed(many.content, table.struct("meta/v1", "PartialObjectMetadata"))
    assert (api_version, kind, len(items)) == ("meta.k8s.io/v1", "PartialObjectMetadataList", 1)
    table_or_json = await server.call("GET", "configmaps", headers={"accept": f"{TABLE},application/json"})
    assert table_or_json.json()["kind"] == "ConfigMapList"
    assert (await server.call("GET", "configmaps", headers={"accept": TABLE})).status_code == 406


async def test_every_kind_has_a_form(server: Any) -> None:
    """All built-in resources answer a LIST in protobuf, whatever the cluster holds of them."""
    for resource in BUILTIN:
        if "list" in resource.verbs:
            answer = await server.call("GET", resource.path(), headers={"accept": PROTOBUF})
            assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF), resource.plural
            type_ = message_type(resource.api_version, resource.kind)
            assert type_ is not None
            shown = (await server.ok("GET", resource.path()))["items"]
            assert listed(answer.content, type_)[3] == [decode(item, type_, "x").obj for item in shown]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api", "APIVersions"),
        ("/apis", "APIGroupList"),
        ("/apis/apps", "APIGroup"),
        ("/apis/apps/v1", "APIResourceList"),
    ],
)
async def test_discovery(server: Any, path: str, kind: str) -> None:
    """Each document is the one that JSON shows; YAML is had as well."""
    answer = await server.call("GET", path, headers={"accept": CLIENT_GO})
    assert answer.headers["content-type"] == PROTOBUF
    shown = await server.ok("GET", path)
    found = readable(answer.content)
    type_ = message_type("v1", kind)
    assert type_ is not None
    assert found == {"apiVersion": "v1", **decode(shown, type_, kind).obj}
    text = await server.call("GET", path, headers={"accept": "application/yaml"})
    assert text.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(text.text) == shown


@pytest.mark.parametrize("path", ["/api", "/apis"])
async def test_aggregated_discovery(server: Any, path: str) -> None:
    """The same document under the same tag, in either encoding."""
    parameters = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    binary = await server.call("GET", path, headers={"accept": PROTOBUF + parameters})
    plain = await server.call("GET", path, headers={"accept": "application/json" + parameters})
    assert binary.headers["content-type"] == PROTOBUF + parameters
    assert binary.headers["etag"] == plain.headers["etag"]
    type_ = table.struct("apidiscovery.k8s.io/v2", "APIGroupDiscovery")
    api_version, kind, _, items = listed(binary.content, type_)
    assert (api_version, kind) == ("apidiscovery.k8s.io/v2", "APIGroupDiscoveryList")
    assert [len(item["versions"]) for item in items] == [len(item["versions"]) for item in plain.json()["items"]]

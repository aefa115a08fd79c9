"""watch: where it begins, what it tells, how it ends, and that nothing is left when it has."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from minik8s.api.resources import CONFIG_MAPS

pytestmark = pytest.mark.anyio

LIST_OPTIONS = 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: '
STREAMING = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"


def cm(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "data": {"k": name}}


async def create(server: Any, *names: str) -> str:
    """Creates ConfigMaps; answers the last one's resourceVersion."""
    version = ""
    for name in names:
        version = (await server.ok("POST", "configmaps", cm(name)))["metadata"]["resourceVersion"]
    return version


async def label(server: Any, name: str, value: str | None) -> Any:
    patch = {"metadata": {"labels": {"on": value}}}
    return await server.ok("PATCH", f"configmaps/{name}", patch, type="application/merge-patch+json")


@pytest.mark.parametrize("query", ["watch=true", "watch=1", "watch", "watch=True", "watch=true&resourceVersion=0"])
async def test_a_watch_without_version_begins_with_what_is(server: Any, query: str) -> None:
    """An ADDED for everything, then what happens; objects carry kind and apiVersion."""
    await create(server, "a", "b")
    async with server.watching(f"configmaps?{query}&limit=1") as events:
        assert events.response.headers["content-type"] == "application/json"
        assert await events.names(2) == [("ADDED", "a"), ("ADDED", "b")]
        await create(server, "c")
        event = await events.next()
        assert event["type"] == "ADDED"
        assert (event["object"]["kind"], event["object"]["apiVersion"]) == ("ConfigMap", "v1")
        await label(server, "c", "1")
        deleted = await server.ok("DELETE", "configmaps/a")
        assert deleted["status"] == "Success"
        assert await events.names(1) == [("MODIFIED", "c")]
        gone = await events.next()
        assert (gone["type"], gone["object"]["metadata"]["name"]) == ("DELETED", "a")
        assert gone["object"]["metadata"]["resourceVersion"] == str(server.ctx.store.revision)


async def test_a_watch_from_a_version_tells_what_came_after(server: Any) -> None:
    """Nothing is lost and nothing repeated between a list and a watch at its version."""
    await create(server, "a")
    version = (await server.ok("GET", "configmaps"))["metadata"]["resourceVersion"]
    await create(server, "b")
    async with server.watching(f"configmaps?watch=true&resourceVersion={version}") as events:
        await create(server, "c")
        assert await events.names(2) == [("ADDED", "b"), ("ADDED", "c")]


@pytest.mark.parametrize("path", ["/api/v1/watch/configmaps", "/api/v1/watch/namespaces/default/configmaps"])
async def test_the_old_paths(server: Any, path: str) -> None:
    """/watch/ in front means the same."""
    await create(server, "a", "b")
    async with server.watching(path) as events:
        assert await events.names(2) == [("ADDED", "a"), ("ADDED", "b")]
    async with server.watching("/api/v1/watch/namespaces/default/configmaps/b") as events:
        assert await events.names(1) == [("ADDED", "b")]
        await create(server, "c")
        await label(server, "b", "x")
        assert await events.names(1) == [("MODIFIED", "b")]


async def test_a_version_from_the_future_is_waited_for(server: Any) -> None:
    """The stream stays silent until then."""
    ahead = server.ctx.store.revision + 2
    async with server.watching(f"configmaps?watch=true&resourceVersion={ahead}") as events:
        await create(server, "a", "b", "c")
        assert await events.names(1) == [("ADDED", "c")]


async def test_a_version_too_old_is_an_event(server: Any) -> None:
    """200, one ERROR with a Status 410, and the end."""
    version = await create(server, "a")
    await create(server, "b", "c")
    current = server.ctx.store.revision
    await server.ctx.store.compact(current)
    async with server.watching(f"configmaps?watch=true&resourceVersion={version}") as events:
        (event,) = await events.rest()
    assert event == {
        "type": "ERROR",
        "object": {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": f"too old resource version: {version} ({current})",
            "reason": "Expired",
            "code": 410,
        },
    }
    assert server.watchers == 0


async def test_a_reader_left_behind_is_told(start: Any) -> None:
    """History that moves on while nobody reads ends the watch with a 410."""
    async with start(history=4) as server:
        version = await create(server, "a")
        async with server.client.watch_batches(CONFIG_MAPS, resource_version=version) as batches:
            await create(server, "b")
            assert [e.type for e in await anext(batches)] == ["ADDED"]
            for i in range(20):
                await label(server, "a", str(i))
            await server.ctx.store.compact(server.ctx.store.revision)
            assert [e.object.get("code") for e in await anext(batches)] == [410]
            with pytest.raises(StopAsyncIteration):
                await anext(batches)


async def test_a_version_that_is_no_number(server: Any) -> None:
    """A 500 here, as upstream has it."""
    message = 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'
    await server.refused("GET", "configmaps?watch=true&resourceVersion=abc", 500, "", message)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "sendInitialEvents=true",
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            "resourceVersionMatch=NotOlderThan",
            "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (
            "resourceVersionMatch=NotOlderThan&sendInitialEvents=true&continue=x",
            "Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
    ],
)
async def test_starts_that_make_no_sense(server: Any, query: str, message: str) -> None:
    """422, and no watcher is left."""
    await server.refused("GET", f"configmaps?watch=true&{query}", 422, "Invalid", LIST_OPTIONS + message)
    assert server.watchers == 0


@pytest.mark.parametrize("query", ["fieldSelector=a%3Db", "labelSelector=a+b", "timeoutSeconds=x"])
async def test_parameters_that_cannot_be_read(server: Any, query: str) -> None:
    """400 before the stream begins."""
    assert (await server.call("GET", f"configmaps?watch=true&{query}")).status_code == 400
    assert server.watchers == 0


async def test_selectors_see_objects_come_and_go(server: Any) -> None:
    """What stops matching is DELETED in its last matching state, what begins to match is ADDED."""
    await create(server, "a", "b")
    async with server.watching("configmaps?watch=true&labelSelector=on%3D1") as events:
        await label(server, "a", "1")
        await label(server, "b", "2")
        assert await events.names(1) == [("ADDED", "a")]
        await server.ok("PATCH", "configmaps/a", {"data": {"k": "z"}}, type="application/merge-patch+json")
        assert await events.names(1) == [("MODIFIED", "a")]
        left = await label(server, "a", "0")
        event = await events.next()
        assert event["type"] == "DELETED"
        assert event["object"]["metadata"]["labels"] == {"on": "1"}
        assert event["object"]["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]
        await server.ok("DELETE", "configmaps/a")
        await label(server, "b", "1")
        await server.ok("DELETE", "configmaps/b")
        assert await events.names(2) == [("ADDED", "b"), ("DELETED", "b")]


async def test_field_selectors_that_the_store_knows(server: Any) -> None:
    """By name, and pods by node: indexed or not, the same transitions."""
    await create(server, "a")
    spec = {"containers": [{"name": "c", "image": "i"}]}
    async with (
        server.watching("configmaps?watch=true&fieldSelector=metadata.name%3Db") as named,
        server.watching("pods?watch=true&fieldSelector=spec.nodeName%3Dn1") as bound,
        server.watching("pods?watch=true&fieldSelector=spec.nodeName%3D") as waiting,
    ):
        await create(server, "b")
        assert await named.names(1) == [("ADDED", "b")]
        await server.ok("POST", "pods", {"metadata": {"name": "p"}, "spec": spec})
        binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
        await server.ok("POST", "pods/p/binding", binding)
        assert await bound.names(1) == [("ADDED", "p")]
        assert await waiting.names(2) == [("ADDED", "p"), ("DELETED", "p")]
    await server.settle()
    assert server.watchers == 0


async def test_a_streaming_list(server: Any) -> None:
    """What is, the bookmark that says so, and then what happens."""
    await create(server, "a")
    async with server.watching(f"configmaps?{STREAMING}") as events:
        assert await events.names(1) == [("ADDED", "a")]
        mark = await events.next()
        assert mark == {
            "type": "BOOKMARK",
            "object": {
                "kind": "ConfigMap",
                "apiVersion": "v1",
                "metadata": {
                    "resourceVersion": str(server.ctx.store.revision),
                    "annotations": {"k8s.io/initial-events-end": "true"},
                },
            },
        }
        await create(server, "b")
        assert await events.names(1) == [("ADDED", "b")]


async def test_no_initial_events(server: Any) -> None:
    """sendInitialEvents=false begins with the next change."""
    await create(server, "a")
    query = "watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
    async with server.watching(f"configmaps?{query}") as events:
        await create(server, "b")
        assert await events.names(1) == [("ADDED", "b")]


async def test_bookmarks(server: Any) -> None:
    """Once a minute and at the end, for those who asked; without an annotation."""
    version = await create(server, "a")
    path = f"configmaps?watch=true&resourceVersion={version}&timeoutSeconds=150"
    async with server.watching(path + "&allowWatchBookmarks=true") as marked, server.watching(path) as plain:
        await server.settle()
        for _ in range(2):
            await server.ok("POST", "/api/v1/namespaces/kube-system/configmaps", {"metadata": {"generateName": "x"}})
            server.clock.advance(60)
            event = await marked.next()
            metadata = {"resourceVersion": str(server.ctx.store.revision)}
            assert event == {
                "type": "BOOKMARK",
                "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata},
            }
        server.clock.advance(30)
        assert [e["type"] for e in await marked.rest()] == ["BOOKMARK"]
        assert await plain.rest() == []
    await server.settle()
    assert server.watchers == 0
    assert server.clock.pending == 0


async def test_a_watch_ends_by_itself(server: Any) -> None:
    """After timeoutSeconds, or within an hour when none is given."""
    async with server.watching("configmaps?watch=true") as events:
        await server.settle()
        server.clock.advance(1799)
        await create(server, "a")
        assert await events.names(1) == [("ADDED", "a")]
        server.clock.advance(1801)
        assert await events.rest() == []
    async with server.watching("configmaps?watch=true&timeoutSeconds=-5") as events:
        await server.settle()
        server.clock.advance(0)
        assert [e["type"] for e in await events.rest()] in ([], ["ADDED"])


async def test_nothing_is_left_of_a_client_that_leaves(server: Any) -> None:
    """No watcher, no timer, though nothing has happened since; the same in process."""
    timers = server.clock.pending
    for query in ("watch=true", STREAMING, "watch=true&fieldSelector=metadata.name%3Da"):
        async with server.watching(f"configmaps?{query}"):
            await server.settle()
            assert server.watchers == 1
        await server.settle()
        assert (server.watchers, server.clock.pending) == (0, timers)
    async with server.client.watch_batches(CONFIG_MAPS):
        assert server.watchers == 1
    assert server.watchers == 0
    with anyio.move_on_after(0):
        async for _ in server.client.watch(CONFIG_MAPS):
            await anyio.sleep_forever()
    await server.settle()
    assert server.watchers == 0


async def test_watches_end_with_the_store(server: Any) -> None:
    """A server that stops lets every reader go."""
    async with server.watching("configmaps?watch=true") as events:
        await server.settle()
        await server.ctx.store.aclose()
        assert await events.rest() == []


async def test_tables_on_a_watch(server: Any) -> None:
    """One row an event; columns are described once; a bookmark's row knows only the version."""
    await create(server, "a")
    accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    async with server.watching(f"configmaps?{STREAMING}", headers=accept) as events:
        first, mark = await events.next(), await events.next()
        await create(server, "b")
        second = await events.next()
    assert {e["object"]["kind"] for e in (first, mark, second)} == {"Table"}
    assert [c["name"] for c in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert second["object"]["columnDefinitions"] is None
    (row,) = second["object"]["rows"]
    assert row["cells"][:2] == ["b", 1]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    (row,) = mark["object"]["rows"]
    assert row["object"]["metadata"]["resourceVersion"] == first["object"]["metadata"]["resourceVersion"]
    assert row["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_metadata_on_a_watch(server: Any) -> None:
    """What metadata-only informers ask for."""
    await create(server, "a")
    accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
    async with server.watching("configmaps?watch=true", headers={"accept": accept}) as events:
        event = await events.next()
    assert set(event["object"]) == {"kind", "apiVersion", "metadata"}
    assert (event["object"]["kind"], event["object"]["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert event["object"]["metadata"]["name"] == "a"


async def test_errors_on_a_table_watch_are_statuses(server: Any) -> None:
    """An ERROR's object is never put into a table."""
    version = await create(server, "a")
    await create(server, "b")
    await server.ctx.store.compact(server.ctx.store.revision)
    accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with server.watching(f"configmaps?watch=true&resourceVersion={version}", headers=accept) as events:
        (event,) = await events.rest()
    assert event["object"]["kind"] == "Status"


async def test_streams_are_json(server: Any) -> None:
    """There is no stream of YAML; the parameter stream=watch is understood."""
    message = (
        "only the following media types are accepted: application/json;stream=watch, "
        "application/vnd.kubernetes.protobuf;stream=watch"
    )
    yaml = {"accept": "application/yaml"}
    await server.refused("GET", "configmaps?watch=true", 406, "NotAcceptable", message, headers=yaml)
    async with server.watching("configmaps?watch=true", headers={"accept": "application/json;stream=watch"}) as events:
        await create(server, "a")
        assert await events.names(1) == [("ADDED", "a")]
    await server.settle()
    assert server.watchers == 0


async def test_events_of_one_batch_are_lines(server: Any) -> None:
    """Each event is one line of JSON, whatever is in it."""
    async with server.watching("configmaps?watch=true") as events:
        body = cm("a") | {"data": {"text": "two\nlines \u2028 and a <tag>"}}
        await server.ok("POST", "configmaps", body)
        event = await events.next()
        assert event["object"]["data"] == body["data"]
        assert json.dumps(event)


async def test_a_streaming_list_from_the_future(server: Any) -> None:
    """It could only wait, so it is refused as a list is; its client falls back to one."""
    current = server.ctx.store.revision
    path = "configmaps?watch=1&sendInitialEvents=1&resourceVersionMatch=NotOlderThan&resourceVersion=99999"
    message = f"Timeout: Too large resource version: 99999, current: {current}"
    await server.refused("GET", path, 504, "Timeout", message)

"""get and list: pages, versions, selectors."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

LIST_OPTIONS = 'ListOptions.meta.k8s.io "" is invalid: '


def cm(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "data": {"k": name}}


async def five(server: Any) -> None:
    """c1 to c5, odd and even."""
    for i in range(1, 6):
        await server.ok("POST", "configmaps", cm(f"c{i}", parity="odd" if i % 2 else "even"))


def names(listed: Any) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


async def test_the_shape_of_a_list(server: Any) -> None:
    """Kind and version stand on the list, not on its items; an empty list has an empty array."""
    empty = await server.ok("GET", "configmaps")
    assert empty["items"] == []
    await server.ok("POST", "configmaps", cm("a"))
    listed = await server.ok("GET", "configmaps")
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert listed["metadata"] == {"resourceVersion": str(server.ctx.store.revision)}
    (item,) = listed["items"]
    assert "kind" not in item
    assert "apiVersion" not in item
    assert item["data"] == {"k": "a"}


async def test_order_is_by_namespace_and_name(server: Any) -> None:
    """Across namespaces, however they came."""
    for namespace in ("zz", "aa"):
        await server.ok("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        for name in ("b", "a"):
            await server.ok("POST", f"/api/v1/namespaces/{namespace}/configmaps", cm(name))
    listed = await server.ok("GET", "/api/v1/configmaps")
    assert [(i["metadata"]["namespace"], i["metadata"]["name"]) for i in listed["items"]] == [
        ("aa", "a"),
        ("aa", "b"),
        ("zz", "a"),
        ("zz", "b"),
    ]


async def test_pages(server: Any) -> None:
    """Every page shows the first page's version, though objects come and go in between."""
    await five(server)
    first = await server.ok("GET", "configmaps?limit=2")
    assert names(first) == ["c1", "c2"]
    assert first["metadata"]["remainingItemCount"] == 3
    await server.ok("POST", "configmaps", cm("c2a"))
    await server.ok("DELETE", "configmaps/c3")
    second = await server.ok("GET", "configmaps", params={"limit": 2, "continue": first["metadata"]["continue"]})
    assert names(second) == ["c3", "c4"]
    assert second["metadata"]["remainingItemCount"] == 1
    last = await server.ok("GET", "configmaps", params={"limit": 2, "continue": second["metadata"]["continue"]})
    assert names(last) == ["c5"]
    versions = {page["metadata"]["resourceVersion"] for page in (first, second, last)}
    assert len(versions) == 1
    assert set(last["metadata"]) == {"resourceVersion"}


async def test_pages_of_a_selection(server: Any) -> None:
    """With a selector nobody counts what remains; the last full page has no continuation."""
    await five(server)
    first = await server.ok("GET", "configmaps?limit=2&labelSelector=parity%3Dodd")
    assert names(first) == ["c1", "c3"]
    assert "remainingItemCount" not in first["metadata"]
    params = {"limit": 2, "continue": first["metadata"]["continue"], "labelSelector": "parity=odd"}
    assert names(await server.ok("GET", "configmaps", params=params)) == ["c5"]
    exact = await server.ok("GET", "configmaps?limit=3&labelSelector=parity%3Dodd")
    assert "continue" not in exact["metadata"]


@pytest.mark.parametrize("limit", ["0", "-1", "500", ""])
async def test_limits_that_limit_nothing(server: Any, limit: str) -> None:
    """Zero, less, and more than there is: everything."""
    await five(server)
    assert len((await server.ok("GET", f"configmaps?limit={limit}"))["items"]) == 5


async def test_an_expired_continuation(server: Any) -> None:
    """410 with a token that goes on inconsistently, from the present."""
    await five(server)
    first = await server.ok("GET", "configmaps?limit=2")
    await server.ok("DELETE", "configmaps/c3")
    await server.ctx.store.compact(server.ctx.store.revision)
    params = {"limit": 2, "continue": first["metadata"]["continue"]}
    response = await server.call("GET", "configmaps", params=params)
    status = response.json()
    assert (response.status_code, status["reason"]) == (410, "Expired")
    assert status["message"].startswith(
        "The provided continue parameter is too old to display a consistent list result."
    )
    params["continue"] = status["metadata"]["continue"]
    rest = await server.ok("GET", "configmaps", params=params)
    assert names(rest) == ["c4", "c5"]
    assert rest["metadata"]["resourceVersion"] == str(server.ctx.store.revision)


def token(**content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "value",
    [
        "garbage",
        "%C3%A9",
        token(),
        token(v="v2", rv=1, start="a/b"),
        token(v="meta.k8s.io/v1", rv="1", start="a/b"),
        token(v="meta.k8s.io/v1", rv=1, start="ab"),
        token(v="meta.k8s.io/v1", rv=1, start=5),
        base64.urlsafe_b64encode(b"[1]").decode(),
    ],
)
async def test_continuations_nobody_gave_out(server: Any, value: str) -> None:
    """400 for whatever is not one of ours."""
    response = await server.call("GET", f"configmaps?continue={value}")
    assert response.status_code == 400
    assert response.json()["message"] == "invalid continue token: continue key is not valid: not made by this server"


@pytest.mark.parametrize(
    ("query", "code", "reason", "message"),
    [
        ("limit=x", 400, "BadRequest", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("timeoutSeconds=x", 400, "BadRequest", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("limit=1_0", 400, "BadRequest", 'strconv.ParseInt: parsing "1_0": invalid syntax'),
        (
            "limit=99999999999999999999",
            400,
            "BadRequest",
            'strconv.ParseInt: parsing "99999999999999999999": value out of range',
        ),
        (
            "resourceVersion=abc",
            400,
            "BadRequest",
            'invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": '
            "invalid syntax",
        ),
        (
            "continue=x&resourceVersion=5",
            400,
            "BadRequest",
            "specifying resource version is not allowed when using continue",
        ),
        (
            "resourceVersionMatch=Exact",
            422,
            "Invalid",
            LIST_OPTIONS + "resourceVersionMatch: Forbidden: "
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            422,
            "Invalid",
            LIST_OPTIONS
            + 'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        (
            "resourceVersionMatch=Foo&resourceVersion=1",
            422,
            "Invalid",
            LIST_OPTIONS
            + 'resourceVersionMatch: Unsupported value: "Foo": supported values: "Exact", "NotOlderThan", ""',
        ),
        (
            "sendInitialEvents=true",
            422,
            "Invalid",
            LIST_OPTIONS + "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
        ),
        (
            "fieldSelector=status.phase",
            400,
            "BadRequest",
            "invalid selector: 'status.phase'; can't understand 'status.phase'",
        ),
        ("fieldSelector=foo%3Da", 400, "BadRequest", "field label not supported: foo"),
        (
            "labelSelector=a+b",
            400,
            "BadRequest",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
    ],
)
async def test_parameters_that_make_no_sense(server: Any, query: str, code: int, reason: str, message: str) -> None:
    """Texts of upstream's ValidateListOptions and parsers."""
    await server.refused("GET", f"configmaps?{query}", code, reason, message)


async def test_several_errors_at_once(server: Any) -> None:
    """All of them, each with its cause."""
    query = "configmaps?resourceVersionMatch=Foo&sendInitialEvents=true"
    response = await server.call("GET", query)
    assert response.status_code == 422
    causes = response.json()["details"]["causes"]
    assert [c["field"] for c in causes] == ["resourceVersionMatch", "resourceVersionMatch", "sendInitialEvents"]


@pytest.mark.parametrize("path", ["configmaps", "configmaps/a", "/api/v1/configmaps"])
async def test_a_version_from_the_future(server: Any, path: str) -> None:
    """504 that asks to try again in a second."""
    await server.ok("POST", "configmaps", cm("a"))
    message = f"Timeout: Too large resource version: 99999999, current: {server.ctx.store.revision}"
    details = await server.refused("GET", f"{path}?resourceVersion=99999999", 504, "Timeout", message)
    assert details == {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    response = await server.call("GET", f"{path}?resourceVersion=99999999")
    assert response.headers["retry-after"] == "1"


async def test_versions_of_the_past(server: Any) -> None:
    """Exact shows how it was, NotOlderThan and a bare version how it is; history that is gone is 410."""
    await server.ok("POST", "configmaps", cm("a"))
    then = (await server.ok("GET", "configmaps"))["metadata"]["resourceVersion"]
    await server.ok("POST", "configmaps", cm("b"))
    exact = await server.ok("GET", f"configmaps?resourceVersion={then}&resourceVersionMatch=Exact")
    assert names(exact) == ["a"]
    assert exact["metadata"]["resourceVersion"] == then
    for match in ("", "&resourceVersionMatch=NotOlderThan"):
        assert names(await server.ok("GET", f"configmaps?resourceVersion={then}{match}")) == ["a", "b"]
    assert names(await server.ok("GET", "configmaps?resourceVersion=0")) == ["a", "b"]
    await server.ctx.store.compact(server.ctx.store.revision)
    message = "The resourceVersion for the provided list is too old."
    await server.refused(
        "GET", f"configmaps?resourceVersion={then}&resourceVersionMatch=Exact", 410, "Expired", message
    )


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", "c1 c2 c3 c4 c5"),
        ("parity", "c1 c2 c3 c4 c5"),
        ("!parity", ""),
        ("parity=odd", "c1 c3 c5"),
        ("parity==odd", "c1 c3 c5"),
        ("parity!=odd", "c2 c4"),
        ("parity in (odd, even),parity notin (even)", "c1 c3 c5"),
        ("nope notin (a)", "c1 c2 c3 c4 c5"),
        (" parity = even ", "c2 c4"),
        ("parity in ()", ""),
    ],
)
async def test_label_selectors(server: Any, selector: str, expected: str) -> None:
    """The grammar, on a list and on a deletecollection that deletes nothing."""
    await five(server)
    assert names(await server.ok("GET", "configmaps", params={"labelSelector": selector})) == expected.split()
    params = {"labelSelector": selector, "dryRun": "All"}
    assert names(await server.ok("DELETE", "configmaps", params=params)) == expected.split()


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=c1", "c1"),
        ("metadata.name==c1", "c1"),
        ("metadata.name!=c1", "c2 c3 c4 c5"),
        ("metadata.name=c1,metadata.name=c1", "c1"),
        ("metadata.name=c1,metadata.name=c2", ""),
        ("metadata.namespace=default,metadata.name=c2", "c2"),
        ("metadata.namespace=other", ""),
        ("metadata.name=c1,metadata.name!=c1", ""),
    ],
)
async def test_field_selectors(server: Any, selector: str, expected: str) -> None:
    """By name and namespace, every kind."""
    await five(server)
    assert names(await server.ok("GET", "configmaps", params={"fieldSelector": selector})) == expected.split()


async def test_cluster_scoped_kinds_have_no_namespace_to_select_by(server: Any) -> None:
    """Only the name."""
    path = "/api/v1/nodes?fieldSelector=metadata.namespace%3Da"
    await server.refused("GET", path, 400, "BadRequest", "field label not supported: metadata.namespace")
    assert (await server.ok("GET", "/api/v1/nodes?fieldSelector=metadata.name%3Da"))["items"] == []


async def test_pods_by_node_and_phase(server: Any) -> None:
    """Kinds select by more fields; one that is missing compares as empty."""
    for name, node in (("p1", "n1"), ("p2", "")):
        spec = {"containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {})}
        await server.ok("POST", "pods", {"metadata": {"name": name}, "spec": spec})

    async def found(selector: str) -> list[str]:
        return names(await server.ok("GET", "/api/v1/pods", params={"fieldSelector": selector}))

    assert await found("spec.nodeName=n1") == ["p1"]
    assert await found("spec.nodeName=") == ["p2"]
    assert await found("spec.nodeName!=n1,status.phase=Pending") == ["p2"]
    assert await found("status.phase!=Pending") == []


async def test_the_first_of_equal_parameters_counts(server: Any) -> None:
    """As Go's url.Values give it."""
    await five(server)
    assert len((await server.ok("GET", "configmaps?limit=1&limit=2"))["items"]) == 1


async def test_get_watch_is_a_get(server: Any) -> None:
    """On one object the watch parameter is ignored."""
    await server.ok("POST", "configmaps", cm("a"))
    assert (await server.ok("GET", "configmaps/a?watch=true"))["data"] == {"k": "a"}

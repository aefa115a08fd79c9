"""delete and deletecollection: what goes at once, what is marked and waits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.conftest import MERGE

pytestmark = pytest.mark.anyio

JOBS = "/apis/batch/v1/namespaces/default/jobs"


def cm(name: str, *finalizers: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "finalizers": list(finalizers), "labels": labels}}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


async def test_the_answer_of_a_finished_deletion(server: Any) -> None:
    """A Status that names the object, with its group where it has one."""
    created = await server.ok("POST", "configmaps", cm("t1"))
    assert await server.ok("DELETE", "configmaps/t1") == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "t1", "kind": "configmaps", "uid": created["metadata"]["uid"]},
    }
    lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    await server.ok("POST", lease, {"metadata": {"name": "l"}})
    details = (await server.ok("DELETE", f"{lease}/l"))["details"]
    assert (details["group"], details["kind"]) == ("coordination.k8s.io", "leases")


async def test_kinds_that_answer_themselves(server: Any) -> None:
    """Typed clients expect these objects back."""
    await server.ok("POST", "pods", pod("p"))
    assert (await server.ok("DELETE", "pods/p"))["kind"] == "Pod"
    await server.ok("POST", "services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    assert (await server.ok("DELETE", "services/s"))["kind"] == "Service"


async def test_finalizers_are_waited_for(server: Any) -> None:
    """Marked, then removed by the update that takes the last one off."""
    await server.ok("POST", "configmaps", cm("t1", "example.com/a", "example.com/b"))
    marked = await server.ok("DELETE", "configmaps/t1")
    metadata = marked["metadata"]
    assert metadata["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    assert metadata["deletionGracePeriodSeconds"] == 0
    assert await server.ok("DELETE", "configmaps/t1") == marked
    patch = {"metadata": {"finalizers": ["example.com/b"]}}
    await server.ok("PATCH", "configmaps/t1", patch, type=MERGE)
    async with server.watching("configmaps?watch=true") as events:
        assert await events.names(1) == [("ADDED", "t1")]
        last = await server.ok("PATCH", "configmaps/t1", {"metadata": {"finalizers": None}}, type=MERGE)
        assert last["metadata"]["name"] == "t1"
        assert await events.names(1) == [("DELETED", "t1")]
    assert (await server.call("GET", "configmaps/t1")).status_code == 404


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
@pytest.mark.parametrize("by_body", [True, False])
async def test_policies(server: Any, policy: str, finalizer: str, by_body: bool) -> None:
    """A policy puts its finalizer on the object, and takes the other one off."""
    await server.ok("POST", "configmaps", cm("t1", "example.com/a"))
    for wanted, name in ((policy, finalizer), ("Foreground", "foregroundDeletion"), ("Orphan", "orphan")):
        if by_body:
            obj = await server.ok("DELETE", "configmaps/t1", {"propagationPolicy": wanted})
        else:
            obj = await server.ok("DELETE", f"configmaps/t1?propagationPolicy={wanted}")
        assert obj["metadata"]["finalizers"] == ["example.com/a", name]
    kept = await server.ok("DELETE", "configmaps/t1")
    assert kept["metadata"]["finalizers"] == ["example.com/a", "orphan"]
    background = await server.ok("DELETE", "configmaps/t1?propagationPolicy=Background")
    assert background["metadata"]["finalizers"] == ["example.com/a"]


@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        (
            "propagationPolicy=Foo",
            None,
            'propagationPolicy: Unsupported value: "Foo": '
            'supported values: "Foreground", "Background", "Orphan", "nil"',
        ),
        (
            "",
            {"propagationPolicy": "Orphan", "orphanDependents": True},
            'propagationPolicy: Invalid value: "Orphan": orphanDependents and propagationPolicy cannot be both set',
        ),
        ("dryRun=Foo", None, 'dryRun: Unsupported value: ["Foo"]: supported values: "All"'),
        ("", {"dryRun": ["Foo"]}, 'dryRun: Unsupported value: ["Foo"]: supported values: "All"'),
    ],
)
async def test_options_that_make_no_sense(server: Any, query: str, body: Any, message: str) -> None:
    """422 DeleteOptions, of one object and of a collection."""
    await server.ok("POST", "configmaps", cm("t1"))
    text = f'DeleteOptions.meta.k8s.io "" is invalid: {message}'
    for path in ("configmaps/t1", "configmaps"):
        await server.refused("DELETE", f"{path}?{query}", 422, "Invalid", text, body)


WRONG = 'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: '


@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        ("gracePeriodSeconds=x", None, 'strconv.ParseInt: parsing "x": invalid syntax'),
        (
            "",
            {"gracePeriodSeconds": []},
            WRONG + "json: cannot unmarshal array into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        ),
        (
            "",
            {"preconditions": 5},
            WRONG
            + "json: cannot unmarshal number into Go struct field DeleteOptions.preconditions of type v1.Preconditions",
        ),
        (
            "",
            {"kind": "Pod"},
            'Pod in version "v1" cannot be handled as a DeleteOptions: '
            "converting (Pod) to (DeleteOptions): unknown conversion",
        ),
    ],
)
async def test_options_that_cannot_be_read(server: Any, query: str, body: Any, message: str) -> None:
    """400, and the object stays."""
    await server.ok("POST", "configmaps", cm("t1"))
    await server.refused("DELETE", f"configmaps/t1?{query}", 400, "BadRequest", message, body)


async def test_a_body_replaces_the_query(server: Any) -> None:
    """Even an empty object; kubectl's has a newline and no kind; protobuf is read as well."""
    await server.ok("POST", "configmaps", cm("t1", "example.com/a"))
    obj = await server.ok("DELETE", "configmaps/t1?propagationPolicy=Orphan", b"{}")
    assert obj["metadata"]["finalizers"] == ["example.com/a"]
    obj = await server.ok("DELETE", "configmaps/t1", b'{"propagationPolicy":"Foreground"}\n')
    assert obj["metadata"]["finalizers"] == ["example.com/a", "foregroundDeletion"]
    options = b"\x22\x06Orphan"
    envelope = b"k8s\x00\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12" + bytes([len(options)]) + options
    obj = await server.ok("DELETE", "configmaps/t1", envelope, type="application/vnd.kubernetes.protobuf")
    assert obj["metadata"]["finalizers"] == ["example.com/a", "orphan"]


async def test_preconditions(server: Any) -> None:
    """Another uid or version is 409 and names both."""
    metadata = (await server.ok("POST", "configmaps", cm("t1")))["metadata"]
    uid, version = metadata["uid"], metadata["resourceVersion"]
    prefix = 'Operation cannot be fulfilled on ConfigMap "t1": '
    message = (
        f"{prefix}the UID in the precondition (bad) does not match the UID in record ({uid}). "
        "The object might have been deleted and then recreated"
    )
    body: dict[str, Any] = {"preconditions": {"uid": "bad"}}
    details = await server.refused("DELETE", "configmaps/t1", 409, "Conflict", message, body)
    assert details == {"name": "t1", "kind": "ConfigMap"}
    message = (
        f"{prefix}the ResourceVersion in the precondition (1) does not match the ResourceVersion in record "
        f"({version}). The object might have been modified"
    )
    body = {"preconditions": {"uid": uid, "resourceVersion": "1"}}
    await server.refused("DELETE", "configmaps/t1", 409, "Conflict", message, body)
    await server.ok("DELETE", "configmaps/t1", {"preconditions": {"uid": uid, "resourceVersion": version}})


@pytest.mark.parametrize(
    ("spec", "phase", "query", "grace"),
    [
        ({"nodeName": "n"}, "Running", "", 30),
        ({"nodeName": "n", "terminationGracePeriodSeconds": 7}, "Running", "", 7),
        ({"nodeName": "n"}, "Running", "gracePeriodSeconds=5", 5),
        ({"nodeName": "n"}, "Running", "gracePeriodSeconds=-5", 1),
        ({"nodeName": "n"}, "Running", "gracePeriodSeconds=0", None),
        ({"nodeName": "n"}, "Succeeded", "", None),
        ({"nodeName": "n"}, "Failed", "gracePeriodSeconds=5", None),
        ({}, "Pending", "", None),
    ],
)
async def test_pods_end_gracefully(server: Any, spec: Any, phase: str, query: str, grace: int | None) -> None:
    """Who is bound and alive gets his time, everybody else goes at once (None)."""
    await server.ok("POST", "pods", pod("p", **spec))
    await server.ok("PATCH", "pods/p/status", {"status": {"phase": phase}}, type=MERGE)
    answer = await server.ok("DELETE", f"pods/p?{query}")
    found = await server.call("GET", "pods/p")
    if grace is None:
        assert found.status_code == 404
        return
    assert found.json() == answer
    metadata = answer["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == grace
    assert metadata["deletionTimestamp"] == f"2026-01-01T00:00:{grace:02}Z"


async def test_a_second_deletion_may_only_shorten(server: Any) -> None:
    """And the agent ends it with grace 0."""
    created = await server.ok("POST", "pods", pod("p", nodeName="n"))
    await server.ok("DELETE", "pods/p")
    server.clock.advance(5)
    first = await server.ok("DELETE", "pods/p?gracePeriodSeconds=60")
    assert first["metadata"]["deletionGracePeriodSeconds"] == 30
    second = await server.ok("DELETE", "pods/p?gracePeriodSeconds=10")
    metadata = second["metadata"]
    assert (metadata["deletionGracePeriodSeconds"], metadata["deletionTimestamp"]) == (10, "2026-01-01T00:00:15Z")
    labelled = await server.ok("PATCH", "pods/p", {"metadata": {"labels": {"a": "b"}}}, type=MERGE)
    assert labelled["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:15Z"
    options = {"gracePeriodSeconds": 0, "preconditions": {"uid": created["metadata"]["uid"]}}
    await server.ok("DELETE", "pods/p", options)
    assert (await server.call("GET", "pods/p")).status_code == 404


async def test_grace_for_ever(server: Any) -> None:
    """Absurd periods do not break the calendar."""
    await server.ok("POST", "pods", pod("p", nodeName="n", terminationGracePeriodSeconds=10**15))
    assert "deletionTimestamp" in (await server.ok("DELETE", "pods/p"))["metadata"]
    assert "deletionTimestamp" in (await server.ok("DELETE", f"pods/p?gracePeriodSeconds={10**18}"))["metadata"]


async def test_collections(server: Any) -> None:
    """What is selected goes; the answer lists it as it was; nothing selected is no error."""
    for i in range(4):
        await server.ok("POST", "configmaps", cm(f"c{i}", half=str(i % 2)))
    await server.ok("POST", "configmaps", cm("held", "example.com/x", half="1"))
    listed = await server.ok("DELETE", "configmaps?labelSelector=half%3D1")
    assert listed["kind"] == "ConfigMapList"
    assert [i["metadata"]["name"] for i in listed["items"]] == ["c1", "c3", "held"]
    assert "deletionTimestamp" not in listed["items"][2]["metadata"]
    left = await server.ok("GET", "configmaps")
    assert [i["metadata"]["name"] for i in left["items"]] == ["c0", "c2", "held"]
    assert "deletionTimestamp" in left["items"][2]["metadata"]
    listed = await server.ok("DELETE", "configmaps?fieldSelector=metadata.name%3Dc0")
    assert [i["metadata"]["name"] for i in listed["items"]] == ["c0"]
    assert (await server.ok("DELETE", "configmaps?labelSelector=nope"))["items"] == []
    await server.refused(
        "DELETE",
        "configmaps?labelSelector=a+b",
        400,
        "BadRequest",
        ("unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
    )


async def test_jobs_keep_their_pods_by_default(server: Any) -> None:
    """Orphan, with a warning, unless the client says something."""
    template = {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}
    for name in ("a", "b"):
        await server.ok("POST", JOBS, {"metadata": {"name": name}, "spec": {"template": template}})
    response = await server.call("DELETE", f"{JOBS}/a")
    assert response.json()["metadata"]["finalizers"] == ["orphan"]
    assert response.headers["warning"] == (
        '299 - "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove '
        'them or set propagationPolicy=Orphan to suppress this warning"'
    )
    response = await server.call("DELETE", f"{JOBS}/b?propagationPolicy=Background")
    assert response.json()["status"] == "Success"
    assert "warning" not in response.headers


async def test_namespaces_end_when_their_controller_says_so(server: Any) -> None:
    """Marked Terminating and kept until /finalize, whatever else is written meanwhile."""
    await server.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "n1"}})
    marked = await server.ok("DELETE", "/api/v1/namespaces/n1")
    assert marked["status"]["phase"] == "Terminating"
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    assert "deletionGracePeriodSeconds" not in marked["metadata"]
    assert marked["spec"] == {"finalizers": ["kubernetes"]}
    assert await server.ok("DELETE", "/api/v1/namespaces/n1") == marked
    await server.ok("PATCH", "/api/v1/namespaces/n1", {"metadata": {"labels": {"a": "b"}}}, type=MERGE)
    current = await server.ok("GET", "/api/v1/namespaces/n1")
    message = "the name of the object (n1 based on URL) was undeterminable: name must be provided"
    await server.refused("PUT", "/api/v1/namespaces/n1/finalize", 400, "BadRequest", message, {})
    stale = {**marked, "spec": {}}
    response = await server.call("PUT", "/api/v1/namespaces/n1/finalize", stale)
    assert response.status_code == 409
    gone = await server.ok("PUT", "/api/v1/namespaces/n1/finalize", {**current, "spec": {}})
    assert gone["metadata"]["name"] == "n1"
    assert (await server.call("GET", "/api/v1/namespaces/n1")).status_code == 404


async def test_finalize_changes_finalizers_only(server: Any) -> None:
    """Of a namespace that lives, too; the same again changes nothing."""
    created = await server.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "n1"}})
    body = {**created, "spec": {"finalizers": ["kubernetes", "example.com/x"]}}
    body["metadata"] = {**created["metadata"], "labels": {"a": "b"}}
    changed = await server.ok("PUT", "/api/v1/namespaces/n1/finalize", body)
    assert changed["spec"]["finalizers"] == ["kubernetes", "example.com/x"]
    assert changed["metadata"].get("labels") == created["metadata"].get("labels")
    assert await server.ok("PUT", "/api/v1/namespaces/n1/finalize", changed) == changed


async def test_a_collection_in_pages(server: Any) -> None:
    """A limit is kept, the continuation goes on behind it, and what is not selected stays."""
    for name in ("a", "b", "c", "d"):
        await server.ok(
            "POST", "configmaps", {"metadata": {"name": name, "labels": {"x": "y" if name != "c" else "z"}}}
        )
    first = await server.ok("DELETE", "configmaps?limit=2&labelSelector=x%3Dy")
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    rest = await server.ok("DELETE", f"configmaps?labelSelector=x%3Dy&continue={first['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in rest["items"]] == ["d"]
    assert "continue" not in rest["metadata"]
    left = await server.ok("GET", "configmaps")
    assert [item["metadata"]["name"] for item in left["items"]] == ["c"]
    await server.refused(
        "DELETE", "configmaps?limit=x", 400, "BadRequest", 'strconv.ParseInt: parsing "x": invalid syntax'
    )


@pytest.mark.parametrize("how", ["query", "body"])
async def test_a_collection_is_not_deleted_by_a_dry_run(server: Any, how: str) -> None:
    """Whichever way it is asked for; the answer is what would be deleted."""
    await server.ok("POST", "configmaps", {"metadata": {"name": "a"}})
    before = server.ctx.store.revision
    path, body = ("configmaps?dryRun=All", None) if how == "query" else ("configmaps", {"dryRun": ["All"]})
    assert len((await server.ok("DELETE", path, body))["items"]) == 1
    assert server.ctx.store.revision == before

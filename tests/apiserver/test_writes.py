"""create and update: identity, versions, options, status, generation, writes that change nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

CM: dict[str, Any] = {"metadata": {"name": "t1"}, "data": {"a": "1"}}
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def deployment(name: str = "web", replicas: int = 1) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


async def test_what_the_server_sets(server: Any) -> None:
    """Identity and time are the server's, whatever the creator claims."""
    claims = {
        "uid": "mine",
        "creationTimestamp": "2001-01-01T00:00:00Z",
        "deletionTimestamp": "2001-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 5,
        "generation": 7,
        "selfLink": "/x",
    }
    response = await server.call("POST", "configmaps", {**CM, "metadata": {"name": "t1", **claims}})
    assert response.status_code == 201
    obj = response.json()
    metadata = obj["metadata"]
    assert UUID.fullmatch(metadata["uid"])
    assert metadata["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert metadata["namespace"] == "default"
    assert metadata["resourceVersion"] == str(server.ctx.store.revision)
    assert not metadata.keys() & {"deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"}
    assert (obj["kind"], obj["apiVersion"]) == ("ConfigMap", "v1")
    assert list(obj)[:3] == ["kind", "apiVersion", "metadata"]


async def test_a_version_on_a_new_object(server: Any) -> None:
    """A 500, as upstream has it."""
    body = {"metadata": {"name": "t1", "resourceVersion": "5"}}
    message = "resourceVersion should not be set on objects to be created"
    await server.refused("POST", "configmaps", 500, "", message, body)


async def test_names_are_taken(server: Any) -> None:
    """409; of an object on its way out the text says so."""
    await server.ok("POST", "configmaps", CM)
    details = await server.refused("POST", "configmaps", 409, "AlreadyExists", 'configmaps "t1" already exists', CM)
    assert details == {"name": "t1", "kind": "configmaps"}
    held = {"metadata": {"name": "t2", "finalizers": ["example.com/x"]}}
    await server.ok("POST", "configmaps", held)
    await server.ok("DELETE", "configmaps/t2")
    message = 'object is being deleted: configmaps "t2" already exists'
    await server.refused("POST", "configmaps", 409, "AlreadyExists", message, held)


async def test_generated_names(server: Any) -> None:
    """Five characters behind the base, which is cut to 58."""
    names = set()
    for _ in range(20):
        obj = await server.ok("POST", "configmaps", {"metadata": {"generateName": "x" * 60}})
        name = obj["metadata"]["name"]
        assert re.fullmatch("x{58}[bcdfghjklmnpqrstvwxz2456789]{5}", name)
        assert obj["metadata"]["generateName"] == "x" * 60
        names.add(name)
    assert len(names) == 20
    both = await server.ok("POST", "configmaps", {"metadata": {"name": "mine", "generateName": "x"}})
    assert both["metadata"]["name"] == "mine"


async def test_generated_names_run_out(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After eight collisions the client is told to come back."""
    drawn: list[str] = []

    def stuck(base: str, rng: Any) -> str:
        drawn.append(base)
        return f"{base}same"

    monkeypatch.setattr("minik8s.apiserver.creating.generate_name", stuck)
    await server.ok("POST", "configmaps", {"metadata": {"generateName": "x"}})
    message = 'configmaps "xsame" already exists, the server was not able to generate a unique name for the object'
    body = {"metadata": {"generateName": "x"}}
    details = await server.refused("POST", "configmaps", 409, "AlreadyExists", message, body)
    assert details == {"name": "xsame", "kind": "configmaps", "retryAfterSeconds": 1}
    assert len(drawn) == 1 + 8


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"metadata": {"name": "zzz"}}, "the name of the object (zzz) does not match the name on the URL (t1)"),
        ({}, "the name of the object (t1 based on URL) was undeterminable: name must be provided"),
        (
            {"metadata": {"name": "t1", "namespace": "b"}},
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ],
)
async def test_updates_of_another_object(server: Any, body: Any, message: str) -> None:
    """Body and URL must agree."""
    await server.ok("POST", "configmaps", CM)
    await server.refused("PUT", "configmaps/t1", 400, "BadRequest", message, body)


async def test_optimistic_locking(server: Any) -> None:
    """A stale version or another uid is 409, a missing one overwrites."""
    created = await server.ok("POST", "configmaps", CM)
    uid, version = created["metadata"]["uid"], created["metadata"]["resourceVersion"]

    def put(data: str, **metadata: str) -> Any:
        return {"metadata": {"name": "t1", **metadata}, "data": {"a": data}}

    await server.ok("PUT", "configmaps/t1", put("2", resourceVersion=version, uid=uid))
    message = f'Operation cannot be fulfilled on configmaps "t1": {MODIFIED}'
    details = await server.refused("PUT", "configmaps/t1", 409, "Conflict", message, put("3", resourceVersion=version))
    assert details == {"name": "t1", "kind": "configmaps"}
    await server.ok("PUT", "configmaps/t1", put("4"))


@pytest.mark.parametrize(
    ("path", "resource", "key"),
    [
        ("configmaps", "configmaps", "configmaps/default"),
        ("services", "services", "services/specs/default"),
        ("/api/v1/nodes", "nodes", "minions"),
        (LEASES, "leases.coordination.k8s.io", "leases/default"),
        (CRDS, "customresourcedefinitions.apiextensions.k8s.io", "apiextensions.k8s.io/customresourcedefinitions"),
    ],
)
async def test_updates_of_a_namesake(server: Any, path: str, resource: str, key: str) -> None:
    """Another uid, or none because the object is gone, is the conflict of upstream's storage, whatever the kind."""

    def message(found: str) -> str:
        return (
            f'Operation cannot be fulfilled on {resource} "t1": StorageError: invalid object, Code: 4, '
            f"Key: /registry/{key}/t1, ResourceVersion: 0, "
            f"AdditionalErrorMsg: Precondition failed: UID in precondition: abc, UID in object meta: {found}"
        )

    body = {"metadata": {"name": "t1", "uid": "abc", "resourceVersion": "1"}}
    await server.refused("PUT", f"{path}/t1", 409, "Conflict", message(""), body)
    if path == "configmaps":
        created = await server.ok("POST", path, CM)
        await server.refused("PUT", f"{path}/t1", 409, "Conflict", message(created["metadata"]["uid"]), body)


async def test_kinds_that_insist_on_a_version(server: Any) -> None:
    """422 for a Lease that exists; one that does not is created by PUT, with 201."""
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
    response = await server.call("PUT", f"{LEASES}/l", lease)
    assert response.status_code == 201
    message = (
        'leases.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: '
        "must be specified for an update"
    )
    await server.refused("PUT", f"{LEASES}/l", 422, "Invalid", message, lease)
    lease["metadata"]["resourceVersion"] = response.json()["metadata"]["resourceVersion"]
    lease["spec"]["holderIdentity"] = "b"
    assert (await server.ok("PUT", f"{LEASES}/l", lease))["spec"]["holderIdentity"] == "b"


async def test_updates_keep_what_is_not_theirs(server: Any) -> None:
    """Time of birth, uid and deletion marks of the body are ignored; what is left out is gone."""
    body = {**CM, "metadata": {"name": "t1", "labels": {"x": "y"}}}
    created = await server.ok("POST", "configmaps", body)
    claims = {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 9, "deletionTimestamp": "2001-01-01T00:00:00Z"}
    updated = await server.ok("PUT", "configmaps/t1", {"metadata": {"name": "t1", **claims}, "data": {"b": "2"}})
    assert updated["data"] == {"b": "2"}
    changing = {"labels", "resourceVersion", "managedFields"}
    expected = {k: v for k, v in created["metadata"].items() if k not in changing}
    assert {k: v for k, v in updated["metadata"].items() if k not in {*changing} - {"labels"}} == expected


async def test_writes_that_change_nothing(server: Any) -> None:
    """Same version, no event, by PUT and by every PATCH."""
    created = await server.ok("POST", DEPLOYMENTS, deployment())
    version = server.ctx.store.revision
    async with server.watching(f"{DEPLOYMENTS}?watch=true&resourceVersion={version}") as events:
        assert await server.ok("PUT", f"{DEPLOYMENTS}/web", created) == created
        assert (await server.ok("PUT", f"{DEPLOYMENTS}/web", deployment())) == created
        for kind, patch in (
            ("merge-patch", {"spec": {"replicas": 1}}),
            ("strategic-merge-patch", {"spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}),
            ("json-patch", [{"op": "replace", "path": "/spec/replicas", "value": 1}]),
        ):
            patched = await server.ok("PATCH", f"{DEPLOYMENTS}/web", patch, type=f"application/{kind}+json")
            assert patched == created
        assert server.ctx.store.revision == version
        await server.ok("DELETE", f"{DEPLOYMENTS}/web")
        assert await events.names(1) == [("DELETED", "web")]


async def test_generation(server: Any) -> None:
    """1 at birth, one more when the spec changes or the deletion begins, never by status or metadata."""
    path = f"{DEPLOYMENTS}/web"
    merge = "application/merge-patch+json"

    async def patched(patch: Any, sub: str = "") -> int:
        obj = await server.ok("PATCH", path + sub, patch, type=merge)
        return int(obj["metadata"]["generation"])

    created = await server.ok("POST", DEPLOYMENTS, deployment())
    assert created["metadata"]["generation"] == 1
    assert await patched({"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/x"]}}) == 1
    assert await patched({"status": {"replicas": 3, "observedGeneration": 1}}, "/status") == 1
    assert await patched({"spec": {"replicas": 2}}) == 2
    assert await patched({"metadata": {"generation": 50}}) == 2
    deleted = await server.ok("DELETE", path)
    assert deleted["metadata"]["generation"] == 3
    assert "generation" not in (await server.ok("POST", "configmaps", CM))["metadata"]


async def test_status_is_an_endpoint_of_its_own(server: Any) -> None:
    """The main one ignores the status, /status ignores spec and labels; both answer the whole object."""
    created = await server.ok("POST", DEPLOYMENTS, deployment() | {"status": {"replicas": 5}})
    assert created["status"] == {}
    body = {**created, "status": {"replicas": 4}, "spec": {**created["spec"], "replicas": 9}}
    body["metadata"] = {**body["metadata"], "labels": {"a": "b"}, "annotations": {"a": "b"}}
    status = await server.ok("PUT", f"{DEPLOYMENTS}/web/status", body)
    assert status["status"] == {"replicas": 4}
    assert status["spec"] == created["spec"]
    assert "labels" not in status["metadata"]
    assert status["metadata"]["annotations"] == {"a": "b"}, "of a Deployment's metadata upstream resets labels alone"
    body["metadata"] = {"name": "web"}
    main = await server.ok("PUT", f"{DEPLOYMENTS}/web", {**body, "status": {"replicas": 7}})
    assert main["status"] == {"replicas": 4}
    assert main["spec"]["replicas"] == 9
    assert await server.ok("GET", f"{DEPLOYMENTS}/web/status") == main


async def test_initial_statuses(server: Any) -> None:
    """Kinds whose status is a plain struct have an empty one from the first moment, with its required zeros."""
    template = deployment()["spec"]["template"]
    replica_set = {
        "metadata": {"name": "r"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    created = await server.ok("POST", "/apis/apps/v1/namespaces/default/replicasets", replica_set)
    assert created["status"] == {"replicas": 0}
    assert (await server.ok("POST", "pods", pod("p")))["status"]["phase"] == "Pending"
    assert "status" not in await server.ok("POST", "configmaps", CM)


async def test_dry_runs(server: Any) -> None:
    """The would-be object and the real code, and nothing happens."""
    await server.ok("POST", "configmaps", {"metadata": {"name": "old"}, "data": {"a": "1"}})
    before = server.ctx.store.revision
    response = await server.call("POST", "configmaps?dryRun=All", CM)
    assert response.status_code == 201
    metadata = response.json()["metadata"]
    assert UUID.fullmatch(metadata["uid"])
    assert metadata["creationTimestamp"]
    assert "resourceVersion" not in metadata
    message = 'configmaps "old" already exists'
    await server.refused("POST", "configmaps?dryRun=All", 409, "AlreadyExists", message, {"metadata": {"name": "old"}})
    current = (await server.ok("GET", "configmaps/old"))["metadata"]["resourceVersion"]
    put = await server.ok("PUT", "configmaps/old?dryRun=All", {"metadata": {"name": "old"}, "data": {"a": "2"}})
    assert (put["data"], put["metadata"]["resourceVersion"]) == ({"a": "2"}, current)
    patch = {"data": {"a": "3"}}
    patched = await server.ok("PATCH", "configmaps/old?dryRun=All", patch, type="application/merge-patch+json")
    assert patched["data"] == {"a": "3"}
    gone = await server.ok("DELETE", "configmaps/old?dryRun=All")
    assert gone["status"] == "Success"
    listed = await server.ok("DELETE", "configmaps?dryRun=All")
    assert [i["metadata"]["name"] for i in listed["items"]] == ["old"]
    await server.ok("DELETE", "configmaps/old", {"dryRun": ["All"]})
    assert server.ctx.store.revision == before


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "configmaps"), ("PUT", "configmaps/t1")],
)
async def test_field_validation(server: Any, method: str, path: str) -> None:
    """Warn drops and tells, Ignore drops, Strict refuses unknown and duplicate fields."""
    if method != "POST":
        await server.ok("POST", "configmaps", CM)
    body = b'{"metadata":{"name":"t1","foo":1},"data":{"a":"1","a":"2"},"dat":{}}'
    problems = ['unknown field "metadata.foo"', 'unknown field "dat"', 'duplicate field "data.a"']
    message = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
    await server.refused(
        method,
        f"{path}?fieldValidation=Strict",
        400,
        "BadRequest",
        message + ", ".join(problems),
        body,
    )
    for query in ("", "&fieldValidation=Warn"):
        response = await server.call(method, f"{path}?dryRun=All{query}", body)
        assert response.is_success
        quoted = [problem.replace('"', '\\"') for problem in problems]
        assert response.headers.get_list("warning") == [f'299 - "{text}"' for text in quoted]
        assert "dat" not in response.json()
    response = await server.call(method, f"{path}?dryRun=All&fieldValidation=Ignore", body)
    assert response.is_success
    assert "warning" not in response.headers


async def test_kinds_that_nothing_acts_on_say_so(server: Any) -> None:
    """Creating an object that will only be stored is answered with a Warning that names what does not happen."""
    path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
    answer = await server.call("POST", path, {"metadata": {"name": "p"}, "spec": {"podSelector": {}}})
    assert answer.status_code == 201
    text = "minik8s stores networkpolicies.networking.k8s.io, but traffic is not filtered"
    assert answer.headers["warning"] == f'299 - "{text}"'


async def test_warnings_are_headers(server: Any) -> None:
    """Quotes are escaped, and no field name can begin a header of its own."""
    body = b'{"metadata":{"name":"w"},"a\\r\\nX-Evil: 1":1,"b\\"\\\\":2}'
    response = await server.call("POST", "configmaps", body)
    assert response.status_code == 201
    assert "x-evil" not in response.headers
    assert response.headers.get_list("warning") == [
        '299 - "unknown field \\"a  X-Evil: 1\\""',
        '299 - "unknown field \\"b\\"\\\\\\""',
    ]


async def test_at_most_a_hundred_problems(server: Any) -> None:
    """More are not listed."""
    body = {"metadata": {"name": "w"}, **{f"f{i}": 1 for i in range(300)}}
    response = await server.call("POST", "configmaps", body)
    assert len(response.headers.get_list("warning")) == 100


async def test_deprecated_kinds_warn(server: Any) -> None:
    """On reading, too."""
    response = await server.call("GET", "endpoints")
    assert response.headers["warning"] == (
        '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    )
    response = await server.call("GET", "/api/v1/componentstatuses")
    assert response.headers["warning"] == '299 - "v1 ComponentStatus is deprecated in v1.19+"'


async def test_in_process_and_by_http_are_the_same(server: Any) -> None:
    """One server, two roads."""
    from minik8s.api.resources import CONFIG_MAPS

    made = await server.client.create(CONFIG_MAPS, CM, namespace="default")
    assert await server.ok("GET", "configmaps/t1") == made
    assert CM == {"metadata": {"name": "t1"}, "data": {"a": "1"}}, "the caller's document was changed"


async def test_owners_that_are_named_twice(server: Any) -> None:
    """One of two equal owner references is kept, with upstream's warning; two that differ only share a uid."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"}
    other = {**owner, "blockOwnerDeletion": True}
    said = "; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix "
    said += "your requests; duplicate UID(s) observed: u"
    body = {**CM, "metadata": {"name": "t1", "ownerReferences": [owner, other, owner]}}
    made = await server.call("POST", "configmaps", body)
    assert made.json()["metadata"]["ownerReferences"] == [owner, other]
    assert made.headers["Warning"] == f'299 - ".metadata.ownerReferences contains duplicate entries{said}"'
    put = await server.call("PUT", "configmaps/t1", body)
    assert put.json()["metadata"]["resourceVersion"] == made.json()["metadata"]["resourceVersion"]
    assert put.headers["Warning"] == made.headers["Warning"]

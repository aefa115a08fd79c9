"""What a request can do wrong outside of an object's own rules, with upstream's code, reason and text."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

CM: dict[str, Any] = {"metadata": {"name": "t1"}, "data": {"a": "1"}}
PROTOBUF = "application/vnd.kubernetes.protobuf"
BAD, GONE = "BadRequest", "NotFound"
UNKNOWN_PATH = "the server could not find the requested resource"
WRONG_METHOD = "the server does not allow this method on the requested resource"
NOT_AN_OBJECT = (
    "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: "
)
TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
SCHEME = 'in scheme "pkg/api/legacyscheme/scheme.go:30"'
WRONG_BODY = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: '


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/foos",
        "/api/v2/pods",
        "/apis/apps/v2/deployments",
        "/api/v1/pods/",
        "/api/v1/pods/a",
        "/api/v1/namespaces/default/pods/a/nope",
        "/api/v1/namespaces/default/pods/a/status/more",
        "/api/v1/namespaces/default/pods//status",
        "/api/v1/namespaces//pods",
        "/api/v1/namespaces/default/nodes",
        "/api/v1/nodes/a/b",
        "/api/v1//pods",
    ],
)
async def test_paths_that_lead_nowhere(server: Any, path: str) -> None:
    """Inside the API an unknown path is a Status without details."""
    assert await server.refused("GET", path, 404, GONE, UNKNOWN_PATH) == {}


@pytest.mark.parametrize("path", ["/nope", "/apis/nope", "/apis/nope.io/v1/foos", "/healthz/nope", "/openapi/v4"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_paths_outside_the_api(server: Any, path: str, method: str) -> None:
    """Elsewhere, and in groups nobody knows, it is Go's plain text."""
    response = await server.call(method, path)
    assert (response.status_code, response.text) == (404, "404 page not found\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("HEAD", "configmaps"),
        ("OPTIONS", "configmaps"),
        ("TRACE", "configmaps/t1"),
        ("PUT", "configmaps"),
        ("PATCH", "configmaps"),
        ("POST", "configmaps/t1"),
        ("POST", "/api/v1/configmaps"),
        ("DELETE", "/api/v1/configmaps"),
        ("DELETE", "/api/v1/namespaces"),
        ("DELETE", "pods/p/status"),
        ("GET", "pods/p/binding"),
        ("GET", "bindings"),
        ("POST", "/api/v1/watch/namespaces/default/configmaps"),
        ("GET", "/apis/authentication.k8s.io/v1/tokenreviews"),
        ("DELETE", "/api/v1/componentstatuses/etcd-0"),
        ("POST", "/api"),
        ("DELETE", "/version"),
    ],
)
async def test_methods_that_a_path_does_not_have(server: Any, method: str, path: str) -> None:
    """405, with empty details."""
    if method == "HEAD":
        assert (await server.call(method, path)).status_code == 405
    else:
        assert await server.refused(method, path, 405, "MethodNotAllowed", WRONG_METHOD) == {}


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"{bad", "", NOT_AN_OBJECT + "invalid character 'b' looking for beginning of object key string ({bad)"),
        (b"", "", NOT_AN_OBJECT + "unexpected end of JSON input (<empty>)"),
        (b"[]", "", NOT_AN_OBJECT + f"json: cannot unmarshal array into Go value of type {TYPE_META} (5b5d)"),
        (
            b'{"kind":5}',
            "",
            NOT_AN_OBJECT + 'json: cannot unmarshal number into Go struct field .kind of type string ({"kind":5})',
        ),
        (
            b'{"metadata":{"name":"a-long-enough-name",}}',
            "",
            NOT_AN_OBJECT + "invalid character '}' looking for beginning of object key string "
            '({"metadata":{"name":"a-long-en ...)',
        ),
        (
            b"not a protobuf message",
            PROTOBUF,
            "the object provided is unrecognized (must be of type ConfigMap): provided data does not appear to be a "
            "protobuf message, expected prefix [107 56 115 0] (6e6f7420612070726f746f627566206d657373616765)",
        ),
        (
            b'{"kind":"Secret","apiVersion":"v1"}',
            "",
            'Secret in version "v1" cannot be handled as a ConfigMap: '
            "converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
        (
            b'{"kind":"Nope","apiVersion":"v1"}',
            "",
            'Nope in version "v1" cannot be handled as a ConfigMap: '
            f'no kind "Nope" is registered for version "v1" {SCHEME}',
        ),
        (
            b'{"kind":"ConfigMap","apiVersion":"example.com/v1"}',
            "",
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
            f'no kind "ConfigMap" is registered for version "example.com/v1" {SCHEME}',
        ),
        (
            b'{"metadata":{"name":"t1"},"data":5}',
            "",
            WRONG_BODY + "json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string",
        ),
        (
            b'{"metadata":{"name":"t1"},"data":{"a":1}}',
            "",
            WRONG_BODY + "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            b'{"metadata":{"name":"t1","namespace":"other"}}',
            "",
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ],
)
async def test_bodies_that_are_not_understood(server: Any, body: bytes, content_type: str, message: str) -> None:
    """400, and the text says what was read and where it went wrong."""
    await server.refused("POST", "configmaps", 400, BAD, message, body, type=content_type)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/cbor", "application/json-patch+json"])
async def test_content_types_of_bodies(server: Any, method: str, content_type: str) -> None:
    """Anything but JSON, YAML and protobuf is 415."""
    path = "configmaps" if method == "POST" else "configmaps/t1"
    message = (
        "the body of the request was in an unknown format - accepted media types include: application/json, "
        "application/yaml, application/vnd.kubernetes.protobuf"
    )
    await server.refused(method, path, 415, "UnsupportedMediaType", message, CM, type=content_type)


async def test_no_content_type_is_json(server: Any) -> None:
    """Some clients send JSON without saying so; parameters of the type do not matter."""
    await server.ok("POST", "configmaps", CM)
    other = {**CM, "metadata": {"name": "t2"}}
    await server.ok("POST", "configmaps", other, type="application/json; charset=utf-8")


async def test_a_body_too_large(server: Any) -> None:
    """413 above 3 MiB, whether the length is announced or not."""

    async def chunks() -> Any:
        for _ in range(4):
            yield b"x" * 1024 * 1024

    message = "Request entity too large: limit is 3145728"
    await server.refused("POST", "configmaps", 413, "RequestEntityTooLarge", message, b"x" * 3145729)
    response = await server.http.post("/api/v1/namespaces/default/configmaps", content=chunks())
    assert response.status_code == 413


DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"metadata":{"name":"\xff"}}', ""),
        (b'{"metadata":{"name":"\\ud800"}}', ""),
        (b'{"metadata":{"name":"x"},"data":' + DEEP + b"}", ""),
        (b'{"metadata":{"name":"x"},"data":NaN}', ""),
        (b'{"metadata":{"name":"x","generation":1e400}}', ""),
        (b'{"metadata":{"name":"x","generation":99999999999999999999}}', ""),
        (b"a: &a [*a]", "application/yaml"),
        (b"a: &a [1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n" * 2, "application/yaml"),
        (b"\x00\xff", "application/yaml"),
        (b"", "application/yaml"),
        (b"[" * 3000, "application/yaml"),
        (b"k8s\x00", PROTOBUF),
        (b"k8s\x00\x0a\xff\xff\xff\xff\x0f", PROTOBUF),
        (b"k8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x04\x0a\x7f\x0a\x01", PROTOBUF),
        (b"k8s\x00\x0a\x0a\x0a\x02v1\x12\x04Nope\x12\x00", PROTOBUF),
    ],
)
async def test_hostile_bodies(server: Any, body: bytes, content_type: str) -> None:
    """Wrong encodings, depths, numbers and truncations end as a 400, and nothing is stored."""
    before = server.ctx.store.revision
    response = await server.call("POST", "configmaps", body, type=content_type)
    assert response.status_code == 400
    assert response.json()["reason"] == BAD
    assert server.ctx.store.revision == before


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("dryRun=Foo", 'dryRun: Unsupported value: ["Foo"]: supported values: "All"'),
        ("dryRun=All&dryRun=Foo", 'dryRun: Unsupported value: ["All","Foo"]: supported values: "All"'),
        ("fieldManager=" + "x" * 129, "fieldManager: Too long: may not be more than 128 bytes"),
        ("fieldManager=a%07", 'fieldManager: Invalid value: "a\\u0007": should only contain printable characters'),
        (
            "fieldValidation=Foo",
            'fieldValidation: Unsupported value: "Foo": supported values: "", "Ignore", "Strict", "Warn"',
        ),
    ],
)
async def test_write_options(server: Any, query: str, message: str) -> None:
    """Create, update and patch refuse the same options, each under the name of its own options."""
    await server.ok("POST", "configmaps", CM)
    merge = "application/merge-patch+json"
    for method, path, kind, content_type in (
        ("POST", "configmaps", "CreateOptions", ""),
        ("PUT", "configmaps/t1", "UpdateOptions", ""),
        ("PATCH", "configmaps/t1", "PatchOptions", merge),
    ):
        text = f'{kind}.meta.k8s.io "" is invalid: {message}'
        details = await server.refused(method, f"{path}?{query}", 422, "Invalid", text, CM, type=content_type)
        assert (details["kind"], details["group"]) == (kind, "meta.k8s.io")
    text = 'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch'
    await server.refused("PATCH", "configmaps/t1?force=true", 422, "Invalid", text, {}, type=merge)


@pytest.mark.parametrize(
    ("accept", "message"),
    [
        (
            "text/html",
            "only the following media types are accepted: application/json, application/yaml, "
            "application/vnd.kubernetes.protobuf",
        ),
        (
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
            "only the following media types are accepted: application/json, application/yaml, "
            "application/vnd.kubernetes.protobuf",
        ),
        (
            "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            "you requested PartialObjectMetadata, but the requested object is a list (*v1.ConfigMapList)",
        ),
    ],
)
async def test_answers_that_nobody_can_give(server: Any, accept: str, message: str) -> None:
    """406, also for a list as one object's metadata; a deletion that could not be answered does not happen."""
    await server.ok("POST", "configmaps", CM)
    for method in ("GET", "DELETE"):
        await server.refused(method, "configmaps", 406, "NotAcceptable", message, headers={"accept": accept})
    await server.ok("GET", "configmaps/t1")


async def test_shapes_are_refused_before_anything_is_written(server: Any) -> None:
    """A create whose answer has no form creates nothing."""
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    message = (
        "Unable to convert to Table as requested: includeObject: Invalid value: "
        "\"Foo\": must be 'Metadata', 'Object', 'None', or empty"
    )
    await server.refused("POST", "configmaps?includeObject=Foo", 400, BAD, message, CM, headers=table)
    partial = {"accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    message = "you requested PartialObjectMetadataList, but the requested object is not a list (*v1.ConfigMap)"
    await server.refused("POST", "configmaps", 406, "NotAcceptable", message, CM, headers=partial)


async def test_errors_are_plain_statuses(server: Any) -> None:
    """Whatever shape was asked for; YAML for those who read YAML, indented for those who look at it."""
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    response = await server.call("GET", "configmaps/zz", headers=table)
    assert response.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "zz" not found',
        "reason": "NotFound",
        "details": {"name": "zz", "kind": "configmaps"},
        "code": 404,
    }
    assert response.headers["content-type"] == "application/json"
    response = await server.call("GET", "configmaps/zz", headers={"accept": "application/yaml"})
    assert response.headers["content-type"] == "application/yaml"
    assert 'message: configmaps "zz" not found\n' in response.text
    response = await server.call("GET", "configmaps/zz?pretty=true")
    assert response.text == json.dumps(response.json(), indent=2) + "\n"


async def test_objects_that_are_not_there(server: Any) -> None:
    """Details name the object; grouped resources are named with their group."""
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body = {"metadata": {"name": "x"}} if method in ("PUT", "PATCH") else None
        kind = "application/merge-patch+json" if method == "PATCH" else ""
        path = "/apis/apps/v1/namespaces/default/deployments/x"
        details = await server.refused(method, path, 404, GONE, 'deployments.apps "x" not found', body, type=kind)
        assert details == {"name": "x", "group": "apps", "kind": "deployments"}


async def test_names_may_be_percent_encoded(server: Any) -> None:
    """RBAC names contain colons, which clients escape or not."""
    body = {"metadata": {"name": "system:node"}, "rules": []}
    await server.ok("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", body)
    for name in ("system%3Anode", "system:node"):
        found = await server.ok("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}")
        assert found["metadata"]["name"] == "system:node"

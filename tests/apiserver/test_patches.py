"""patch: the three types that are not apply, and what they share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.conftest import MERGE

pytestmark = pytest.mark.anyio

JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
DOES_NOT_APPLY = "the server rejected our request due to an error in our request"
CM: dict[str, Any] = {"metadata": {"name": "t1", "labels": {"a": "1"}}, "data": {"k": "v", "l": "w"}}


@pytest.mark.parametrize(
    ("content_type", "patch", "data"),
    [
        (MERGE, {"data": {"k": None, "m": "x"}}, {"l": "w", "m": "x"}),
        (STRATEGIC, {"data": {"k": None, "m": "x"}}, {"l": "w", "m": "x"}),
        (JSON_PATCH, [{"op": "remove", "path": "/data/k"}, {"op": "add", "path": "/data/m", "value": "x"}], None),
        (MERGE, {"data": None}, {}),
        (MERGE, {}, {"k": "v", "l": "w"}),
        (MERGE + "; charset=utf-8", {"data": {"k": "2"}}, {"k": "2", "l": "w"}),
        (JSON_PATCH, [{"op": "test", "path": "/data/k", "value": "v"}], {"k": "v", "l": "w"}),
        (MERGE, {"kind": "Secret", "apiVersion": "v7", "data": {"k": "2"}}, {"k": "2", "l": "w"}),
    ],
)
async def test_patches(server: Any, content_type: str, patch: Any, data: Any) -> None:
    """Each type in its own language; kind and version of a patch do not matter."""
    await server.ok("POST", "configmaps", CM)
    patched = await server.ok("PATCH", "configmaps/t1", patch, type=content_type)
    assert patched.get("data", {}) == ({"l": "w", "m": "x"} if data is None else data)
    assert patched["metadata"]["labels"] == {"a": "1"}
    assert await server.ok("GET", "configmaps/t1") == patched


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "application/yaml"])
async def test_what_is_no_patch_type(server: Any, content_type: str) -> None:
    """415, in words of its own."""
    await server.ok("POST", "configmaps", CM)
    message = "415: Unsupported Media Type"
    await server.refused("PATCH", "configmaps/t1", 415, "UnsupportedMediaType", message, {}, type=content_type)


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        (MERGE, b"{bad", 400),
        (MERGE, b"[]", 400),
        (MERGE, b"5", 400),
        (MERGE, b"", 400),
        (STRATEGIC, b"[]", 400),
        (JSON_PATCH, b"{}", 400),
        (JSON_PATCH, b"[5]", 400),
        (JSON_PATCH, b"null", 400),
        (STRATEGIC, b'{"metadata":{"$patch":"foo"}}', 400),
        (JSON_PATCH, b'[{"op":"remove","path":"/data/nope"}]', 422),
        (JSON_PATCH, b'[{"op":"test","path":"/data/k","value":"x"}]', 422),
        (JSON_PATCH, b'[{"op":"replace","path":"/nope/a","value":1}]', 422),
        (JSON_PATCH, b'[{"op":"nope","path":"/data"}]', 422),
        (JSON_PATCH, b'[{"op":"add","path":"data","value":{}}]', 422),
        (JSON_PATCH, b'[{"path":"/data"}]', 422),
        (JSON_PATCH, b'[{"op":"replace","path":"","value":5}]', 422),
    ],
)
async def test_patches_that_do_not_apply(server: Any, content_type: str, body: bytes, code: int) -> None:
    """400 for what is no patch or makes no ConfigMap, 422 in general terms for what does not apply."""
    await server.ok("POST", "configmaps", CM)
    before = server.ctx.store.revision
    response = await server.call("PATCH", "configmaps/t1", body, type=content_type)
    assert response.status_code == code
    if code == 422:
        assert response.json()["message"] == DOES_NOT_APPLY
        assert response.json()["details"] == {}
    assert server.ctx.store.revision == before


@pytest.mark.parametrize(
    ("content_type", "patch", "options", "shown", "why"),
    [
        (
            MERGE,
            {"data": 5},
            "",
            '"data":5}',
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct '
            "field ConfigMap.data of type map[string]string",
        ),
        (
            STRATEGIC,
            {"data": {"k": 5}},
            "",
            "map[data:map[k:5]]",
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct '
            "field ConfigMap.data of type string",
        ),
        (MERGE, {"x": 5}, "?fieldValidation=Strict", '"x":5}', 'strict decoding error: unknown field "x"'),
        (STRATEGIC, {"x": 5}, "?fieldValidation=Strict", "map[x:5]", 'strict decoding error: unknown field "x"'),
        (
            MERGE,
            b'{"data":{"k":"1"},"data":{"k":"2"}}',
            "?fieldValidation=Strict",
            '"k":"2"',
            'strict decoding error: duplicate field "data"',
        ),
    ],
)
async def test_patches_that_make_no_object(
    server: Any, content_type: str, patch: Any, options: str, shown: str, why: str
) -> None:
    """422 about the field `patch`: the value is what came out of it, of a strategic merge patch the patch itself."""
    await server.ok("POST", "configmaps", CM)
    response = await server.call("PATCH", "configmaps/t1" + options, patch, type=content_type)
    status = response.json()
    [cause] = status["details"]["causes"]
    assert (response.status_code, status["reason"]) == (422, "Invalid")
    assert (cause["reason"], cause["field"]) == ("FieldValueInvalid", "patch")
    assert status["message"] == f' "" is invalid: patch: {cause["message"]}'
    assert cause["message"].startswith("Invalid value: ")
    assert shown in cause["message"].replace("\\", "")
    assert cause["message"].endswith(why)


@pytest.mark.parametrize("content_type", [MERGE, STRATEGIC])
async def test_duplicate_fields_warn(server: Any, content_type: str) -> None:
    """A field that comes twice in a patch is a warning; the last one counts."""
    await server.ok("POST", "configmaps", CM)
    body = b'{"data":{"k":"1","k":"2"}}'
    response = await server.call("PATCH", "configmaps/t1", body, type=content_type)
    assert response.headers["warning"] == '299 - "duplicate field \\"data.k\\""'
    assert response.json()["data"]["k"] == "2"


DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def vectors() -> dict[str, Any]:
    """The Deployment of the specification's vectors."""
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    containers = [{"name": "c1", "image": "i", "env": env}, {"name": "c2", "image": "i"}]
    volumes = [{"name": "v1", "emptyDir": {}}]
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers, "volumes": volumes}}
    return {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"template": {"spec": {"volumes": [{"name": "v1", "hostPath": {"path": "/x"}}]}}},
            "spec.template.spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            {"strategy": {"type": "Recreate"}},
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            {
                "template": {
                    "spec": {
                        "containers": [
                            {
                                "name": "c1",
                                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                            }
                        ]
                    }
                }
            },
            'spec.template.spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when '
            "`value` is not empty",
        ),
    ],
)
async def test_merges_that_make_no_sense(server: Any, spec: Any, message: str) -> None:
    """What a strategic merge leaves behind may be invalid; then clients have to send a null or a directive."""
    await server.ok("POST", DEPLOYMENTS, vectors())
    response = await server.call("PATCH", f"{DEPLOYMENTS}/web", {"spec": spec}, type=STRATEGIC)
    assert response.status_code == 422
    assert response.json()["message"] == f'Deployment.apps "web" is invalid: {message}'


@pytest.mark.parametrize(
    ("spec", "path", "expected"),
    [
        (
            {"volumes": [{"name": "v1", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]},
            "volumes",
            [{"name": "v1", "hostPath": {"path": "/x", "type": ""}}],
        ),
        (
            {"volumes": [{"name": "v1", "emptyDir": None, "hostPath": {"path": "/x"}}]},
            "volumes",
            [{"name": "v1", "hostPath": {"path": "/x", "type": ""}}],
        ),
        ({"volumes": None}, "volumes", None),
    ],
)
async def test_merges_that_do(server: Any, spec: Any, path: str, expected: Any) -> None:
    """$retainKeys and nulls make room for another member of a union."""
    await server.ok("POST", DEPLOYMENTS, vectors())
    body = {"spec": {"template": {"spec": spec}}}
    changed = await server.ok("PATCH", f"{DEPLOYMENTS}/web", body, type=STRATEGIC)
    assert changed["spec"]["template"]["spec"].get(path) == expected


@pytest.mark.parametrize("content_type", [MERGE, STRATEGIC, JSON_PATCH, "application/apply-patch+yaml"])
async def test_patches_that_are_too_large(server: Any, content_type: str) -> None:
    """413 above three mebibytes, whatever the type."""
    await server.ok("POST", "configmaps", CM)
    body = b'{"data":{"k":"' + b"x" * (3 * 1024 * 1024) + b'"}}'
    response = await server.call("PATCH", "configmaps/t1?fieldManager=m", body, type=content_type)
    assert (response.status_code, response.json()["reason"]) == (413, "RequestEntityTooLarge")


async def test_too_many_operations(server: Any) -> None:
    """413 above ten thousand."""
    await server.ok("POST", "configmaps", CM)
    operation = {"op": "test", "path": "/data/k", "value": "v"}
    response = await server.call("PATCH", "configmaps/t1", [operation] * 10_001, type=JSON_PATCH)
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("patch", "code", "message"),
    [
        ({"metadata": {"name": "zz"}}, 400, "the name of the object (zz) does not match the name on the URL (t1)"),
        (
            {"metadata": {"name": None}},
            400,
            "the name of the object (t1 based on URL) was undeterminable: name must be provided",
        ),
        (
            {"metadata": {"namespace": "zz"}},
            400,
            "the namespace of the object (zz) does not match the namespace on the request (default)",
        ),
        (
            {"metadata": {"resourceVersion": "1"}},
            409,
            'Operation cannot be fulfilled on configmaps "t1": the object has been modified; '
            "please apply your changes to the latest version and try again",
        ),
    ],
)
async def test_identity(server: Any, patch: Any, code: int, message: str) -> None:
    """A patch cannot rename; a version in it makes it conditional."""
    await server.ok("POST", "configmaps", CM)
    reason = "Conflict" if code == 409 else "BadRequest"
    await server.refused("PATCH", "configmaps/t1", code, reason, message, patch, type=MERGE)


async def test_conditional_patches(server: Any) -> None:
    """The right version passes, and so does a JSON patch that tests it first."""
    version = (await server.ok("POST", "configmaps", CM))["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "data": {"k": "2"}}
    patched = await server.ok("PATCH", "configmaps/t1", patch, type=MERGE)
    version = patched["metadata"]["resourceVersion"]
    operations = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/x"]},
    ]
    patched = await server.ok("PATCH", "configmaps/t1", operations, type=JSON_PATCH)
    assert patched["metadata"]["finalizers"] == ["example.com/x"]
    assert (await server.call("PATCH", "configmaps/t1", operations, type=JSON_PATCH)).status_code == 422


async def test_identity_that_the_server_keeps(server: Any) -> None:
    """uid, time of birth and the like are put back, not taken over."""
    created = (await server.ok("POST", "configmaps", CM))["metadata"]
    patch = {"metadata": {"creationTimestamp": None, "generation": 9, "selfLink": "/x"}, "data": {"k": "2"}}
    patched = (await server.ok("PATCH", "configmaps/t1", patch, type=MERGE))["metadata"]
    assert patched["creationTimestamp"] == created["creationTimestamp"]
    assert not patched.keys() & {"generation", "selfLink"}


async def test_depth(server: Any) -> None:
    """What would be too deep to be shown is never stored, however it is put together."""
    path = "/apis/apps/v1/namespaces/default/controllerrevisions"
    deep: Any = 1
    for count in (236, 240, 250, 300):
        body = '{"metadata":{"name":"x"},"revision":1,"data":' + '{"a":' * count + "1" + "}" * (count + 1)
        for content_type in ("application/json", "application/yaml"):
            await server.call("POST", path, body, type=content_type)
        config = body.replace('"revision"', '"kind":"ControllerRevision","apiVersion":"apps/v1","revision"')
        await server.call("PATCH", f"{path}/x?fieldManager=f", config, type="application/apply-patch+yaml")
        for accept in ("*/*", "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io"):
            shown = await server.call("GET", f"{path}?includeObject=Object", headers={"accept": accept})
            assert shown.status_code == 200
        await server.call("DELETE", path)
    for _ in range(200):
        deep = {"a": deep}
    await server.ok("POST", path, {"metadata": {"name": "r"}, "revision": 1, "data": deep})
    where = "/data" + "/a" * 199 + "/b"
    operation = {"op": "add", "path": where, "value": deep}
    before = server.ctx.store.revision
    response = await server.call("PATCH", f"{path}/r", [operation], type=JSON_PATCH)
    assert response.status_code == 422
    for count in (300, 900, 3000):
        body = b'{"data":' + b'{"b":' * count + b"1" + b"}" * count + b"}"
        for content_type in (MERGE, STRATEGIC):
            response = await server.call("PATCH", f"{path}/r", body, type=content_type)
            assert response.status_code in (400, 422)
    assert server.ctx.store.revision == before
    assert len((await server.ok("GET", path))["items"]) == 1

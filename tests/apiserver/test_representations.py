"""The shapes of answers: tables, bare metadata, YAML, indentation; and bodies in YAML and protobuf."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from minik8s.api.resources import BUILTIN, CONFIG_MAPS, DEPLOYMENTS, LEASES, PODS
from minik8s.schema import protowrite

pytestmark = pytest.mark.anyio

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIALS = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
KUBECTL = f"{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"


def cm(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"a": "b"}}, "data": {"k": "v"}}


async def answer(server: Any, path: str, accept: str) -> Any:
    response = await server.call("GET", path, headers={"accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    return response.json()


async def test_a_table_of_a_list(server: Any) -> None:
    """Columns once, a row an object with its metadata, the list's version and continuation."""
    for name in ("a", "b", "c"):
        await server.ok("POST", "configmaps", cm(name))
    table = await answer(server, "configmaps?limit=2", KUBECTL)
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert table["metadata"]["resourceVersion"] == str(server.ctx.store.revision)
    assert table["metadata"]["remainingItemCount"] == 1
    assert table["metadata"]["continue"]
    columns = table["columnDefinitions"]
    assert all(set(column) == {"name", "type", "format", "description", "priority"} for column in columns)
    assert columns[0]["format"] == "name"
    assert [row["cells"][0] for row in table["rows"]] == ["a", "b"]
    for row in table["rows"]:
        assert len(row["cells"]) == len(columns)
        assert row["object"]["kind"] == "PartialObjectMetadata"
        assert row["object"]["metadata"]["labels"] == {"a": "b"}
        assert "data" not in row["object"]


async def test_a_table_of_one(server: Any) -> None:
    """Also of what a write answers; its version is the object's."""
    response = await server.call("POST", "configmaps", cm("a"), headers={"accept": TABLE})
    created = response.json()
    assert (response.status_code, created["kind"]) == (201, "Table")
    assert created["metadata"] == {"resourceVersion": str(server.ctx.store.revision)}
    assert await answer(server, "configmaps/a", TABLE) == created
    deleted = (await server.call("DELETE", "configmaps/a", headers={"accept": TABLE})).json()
    assert deleted["kind"] == "Status"


async def test_no_table_of_a_review(server: Any) -> None:
    """What nothing stores has no columns: a table is not acceptable, unless there is another form to fall back on."""
    review = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert (await server.call("POST", path, review, headers={"accept": TABLE})).status_code == 406
    answered = (await server.call("POST", path, review, headers={"accept": KUBECTL})).json()
    assert answered["kind"] == "SelfSubjectAccessReview"


@pytest.mark.parametrize(("include", "kind"), [("", "PartialObjectMetadata"), ("Metadata", "PartialObjectMetadata")])
async def test_what_rows_include(server: Any, include: str, kind: str) -> None:
    """Metadata, the object, or nothing."""
    await server.ok("POST", "configmaps", cm("a"))
    table = await answer(server, f"configmaps?includeObject={include}", TABLE)
    assert table["rows"][0]["object"]["kind"] == kind
    whole = await answer(server, "configmaps?includeObject=Object", TABLE)
    assert whole["rows"][0]["object"]["data"] == {"k": "v"}
    assert whole["rows"][0]["object"]["kind"] == "ConfigMap"
    none = await answer(server, "configmaps?includeObject=None", TABLE)
    assert none["rows"][0]["object"] is None


async def test_metadata_only(server: Any) -> None:
    """One object and a list of them, in either version of the metadata group."""
    created = await server.ok("POST", "configmaps", cm("a"))
    one = await answer(server, "configmaps/a", PARTIAL)
    assert one == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": created["metadata"],
    }
    listed = await answer(server, "configmaps", PARTIALS.replace("v=v1", "v=v1beta1"))
    assert (listed["kind"], listed["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1beta1")
    assert listed["items"] == [{**one, "apiVersion": "meta.k8s.io/v1beta1"}]


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/*",
        "application/json, */*;q=0.8",
        "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io, */*",
        "application/json;as=Nope;v=v1;g=meta.k8s.io,application/json",
        "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
        "text/html;q=1,application/json;charset=utf-8",
        "application/yaml;q=0.1,application/json;q=0.9",
        "*/*, application/json",
        "application/yaml;q=most,application/json",
    ],
)
async def test_first_acceptable_clause(server: Any, accept: str) -> None:
    """What cannot be served is skipped."""
    await server.ok("POST", "configmaps", cm("a"))
    assert (await answer(server, "configmaps/a", accept))["kind"] == "ConfigMap"


async def test_yaml_out(server: Any) -> None:
    """The same documents in YAML: an object, a list, a table."""
    await server.ok("POST", "configmaps", cm("a"))
    for path, accept in (("configmaps/a", ""), ("configmaps", ""), ("configmaps", ";as=Table;v=v1;g=meta.k8s.io")):
        response = await server.call("GET", path, headers={"accept": f"application/yaml{accept}"})
        assert response.headers["content-type"] == "application/yaml"
        plain = await server.call("GET", path, headers={"accept": f"application/json{accept}"})
        assert yaml.safe_load(response.text.replace("Timestamp: ", "Timestamp: !!str ")) == plain.json()


async def test_yaml_in(server: Any) -> None:
    """Bodies in YAML, with the types that a field has."""
    body = b"metadata:\n  name: a\n  labels: {x: 'true'}\ndata:\n  multi: |\n    one\n    two\n"
    created = await server.ok("POST", "configmaps", body, type="application/yaml")
    assert created["data"] == {"multi": "one\ntwo\n"}
    response = await server.call(
        "POST", "configmaps?fieldValidation=Strict", b"metadata: {name: b}\ndata: {a: u, a: v}", type="application/yaml"
    )
    assert response.status_code == 400
    assert response.json()["message"].endswith('strict decoding error: duplicate field "data.a"')


@pytest.mark.parametrize("pretty", ["true", "1", ""])
async def test_indentation(server: Any, pretty: str) -> None:
    """By parameter, or for those who look with a browser; otherwise one line."""
    await server.ok("POST", "configmaps", cm("a"))
    for path in ("configmaps/a", "configmaps"):
        compact = await server.call("GET", f"{path}?pretty=false")
        assert compact.text.count("\n") == 1
        indented = json.dumps(compact.json(), indent=2, ensure_ascii=False) + "\n"
        assert (await server.call("GET", f"{path}?pretty={pretty}")).text == indented
        assert (await server.call("GET", path, headers={"user-agent": "curl/8.0"})).text == indented


DOCUMENTS = [
    (CONFIG_MAPS, {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "v"}, "binaryData": {"b": "AAE="}}),
    (LEASES, {"metadata": {"name": "a"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}}),
    (
        PODS,
        {
            "metadata": {"name": "a"},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [{"name": "c", "image": "i", "command": ["x", "y"]}],
            },
        },
    ),
    (
        DEPLOYMENTS,
        {
            "metadata": {"name": "a"},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "100m"}}}]},
                },
            },
        },
    ),
]


@pytest.mark.parametrize(("resource", "body"), DOCUMENTS, ids=[r.kind for r, _ in DOCUMENTS])
async def test_protobuf_in(server: Any, resource: Any, body: Any) -> None:
    """A body in protobuf makes the same object as the same body in JSON."""
    message = protowrite.encode_message(body, resource.type)
    envelope = protowrite.encode_envelope(resource.api_version, resource.kind, message)
    path = resource.path("default")
    made = await server.ok("POST", f"{path}?dryRun=All", envelope, type="application/vnd.kubernetes.protobuf")
    wanted = await server.ok("POST", f"{path}?dryRun=All", body)
    for obj in (made, wanted):
        obj["metadata"].pop("uid")
    assert made == wanted
    for cut in range(5, len(envelope), 7):
        # a message cut between two fields is a message, so that some of these are accepted
        response = await server.call(
            "POST", f"{path}?dryRun=All", envelope[:cut], type="application/vnd.kubernetes.protobuf"
        )
        assert response.status_code in (201, 400, 422), f"cut at {cut}"


@pytest.mark.parametrize(
    "resource", [r for r in BUILTIN if "list" in r.verbs], ids=lambda r: f"{r.api_version}-{r.plural}"
)
async def test_every_kind_in_every_shape(server: Any, resource: Any) -> None:
    """Each can be listed as itself, as a table and as metadata, whether there is one or not."""
    path = resource.path()
    listed = await answer(server, path, "application/json")
    assert (listed["kind"], listed["apiVersion"]) == (f"{resource.kind}List", resource.api_version)
    table = await answer(server, path, TABLE)
    assert len(table["rows"]) == len(listed["items"])
    assert all(len(row["cells"]) == len(table["columnDefinitions"]) for row in table["rows"])
    partial = await answer(server, path, PARTIALS)
    assert len(partial["items"]) == len(listed["items"])
    assert (await server.call("GET", path, headers={"accept": "application/yaml"})).status_code == 200


async def test_long_lists_come_in_chunks(server: Any) -> None:
    """However many, the bytes are one document."""
    for i in range(600):
        await server.client.create(CONFIG_MAPS, cm(f"c{i:03}"), namespace="default")
    listed = await server.ok("GET", "configmaps")
    assert [i["metadata"]["name"] for i in listed["items"]] == [f"c{i:03}" for i in range(600)]
    assert not any("kind" in item for item in listed["items"])


async def test_one_event_by_two_names(server: Any) -> None:
    """Events are the same objects in both groups, each in its own words."""
    body = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "Started",
        "message": "m",
        "type": "Normal",
        "source": {"component": "c"},
    }
    await server.ok("POST", "events", body)
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    new = await server.ok("GET", f"{path}/e")
    assert (new["apiVersion"], new["regarding"]["name"], new["note"]) == ("events.k8s.io/v1", "p", "m")
    listed = await server.ok("GET", path)
    assert [i["regarding"]["name"] for i in listed["items"]] == ["p"]
    old = await server.ok("GET", "events")
    assert [i["involvedObject"]["name"] for i in old["items"]] == ["p"]
    async with server.watching(f"{path}?watch=true") as events:
        assert (await events.next())["object"]["regarding"]["name"] == "p"

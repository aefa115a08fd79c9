"""Server-side apply through the server: identity, managers, subresources, versions, and the way from kubectl's
client-side apply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.apiserver.conftest import MERGE

pytestmark = pytest.mark.anyio

APPLY = "application/apply-patch+yaml"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
HPAS = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers/h"


def config_map(**more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "t1"}, **more}


def deployment(**spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


async def apply(server: Any, path: str, config: Any, manager: str = "m", **options: Any) -> Any:
    """The object after an apply that must succeed."""
    query = "".join(f"&{key}={value}" for key, value in options.items())
    return await server.ok("PATCH", f"{path}?fieldManager={manager}{query}", config, type=APPLY)


def managers(obj: Any) -> list[tuple[str, ...]]:
    """(manager, operation, version[, subresource]) of each entry."""
    keys = ("manager", "operation", "apiVersion", "subresource")
    return [tuple(e[key] for key in keys if key in e) for e in obj["metadata"].get("managedFields", [])]


def fields(obj: Any, manager: str) -> Any:
    return next((e["fieldsV1"] for e in obj["metadata"]["managedFields"] if e["manager"] == manager), None)


async def test_created_and_configured(server: Any) -> None:
    """201 for what is new, then 200; applied again, nothing is written."""
    url = "configmaps/t1?fieldManager=m"
    created = await server.call("PATCH", url, config_map(data={"a": "1"}), type=APPLY)
    assert created.status_code == 201
    server.clock.advance(5)
    again = await server.call("PATCH", url, config_map(data={"a": "1"}), type=APPLY)
    assert (again.status_code, again.json()) == (200, created.json())
    changed = await apply(server, "configmaps/t1", config_map(data={"b": "1"}))
    assert changed["data"] == {"b": "1"}
    yaml = "apiVersion: v1\nkind: ConfigMap\ndata:\n  yes: 'no'\n"
    assert (await apply(server, "configmaps/t1", yaml))["data"] == {"true": "no"}


@pytest.mark.parametrize(
    ("query", "body", "code", "reason", "message"),
    [
        (
            "",
            config_map(),
            422,
            "Invalid",
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        ),
        ("m", {}, 400, "BadRequest", "invalid object type: /, Kind="),
        ("m", {**config_map(), "kind": "Pod"}, 400, "BadRequest", "invalid object type: /v1, Kind=Pod"),
        (
            "m",
            config_map(metadata={"name": "zz"}),
            400,
            "BadRequest",
            "the name of the object (zz) does not match the name on the URL (t1)",
        ),
        (
            "m",
            config_map(metadata={"name": "t1", "managedFields": [{"manager": "x"}]}),
            400,
            "BadRequest",
            "metadata.managedFields must be nil",
        ),
        (
            "m",
            config_map(metadata={"name": "t1", "uid": "7"}),
            409,
            "Conflict",
            'Operation cannot be fulfilled on configmaps "t1": uid mismatch: the provided object specified uid 7, '
            "and no existing object was found",
        ),
        (
            "m&fieldValidation=Ignore",
            config_map(foo=1),
            500,
            "",
            "failed to create typed patch object (/t1; /v1, Kind=ConfigMap): .foo: field not declared in schema",
        ),
        (
            "m",
            config_map(data={"port": 8080}),
            500,
            "",
            "failed to create typed patch object (/t1; /v1, Kind=ConfigMap): .data.port: expected string, got "
            "&value.valueUnstructured{Value:8080}",
        ),
        (
            "m&fieldValidation=Strict",
            'apiVersion: v1\nkind: ConfigMap\ndata:\n  a: "1"\n  a: "2"\n',
            400,
            "BadRequest",
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
            '  line 5: key "a" already set in map',
        ),
    ],
)
async def test_refusals(server: Any, query: str, body: Any, code: int, reason: str, message: str) -> None:
    """What is wrong with an apply before there is an object."""
    await server.refused("PATCH", f"configmaps/t1?fieldManager={query}", code, reason, message, body, type=APPLY)


async def test_broken_yaml(server: Any) -> None:
    """400 with the parser's words."""
    response = await server.call("PATCH", "configmaps/t1?fieldManager=m", "a: [", type=APPLY)
    assert response.status_code == 400
    assert response.json()["message"].startswith("error decoding YAML: error converting YAML to JSON: yaml: line ")


async def test_preconditions(server: Any) -> None:
    """A stale resourceVersion or another uid in the configuration is a conflict, the right ones are none."""
    metadata = (await apply(server, "configmaps/t1", config_map(data={"a": "1"})))["metadata"]
    right = {"name": "t1", "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    await apply(server, "configmaps/t1", config_map(metadata=right, data={"a": "2"}))
    for wrong in (right, {"name": "t1", "uid": "7"}):
        body = config_map(metadata=wrong, data={"a": "3"})
        response = await server.call("PATCH", "configmaps/t1?fieldManager=m&force=true", body, type=APPLY)
        assert (response.status_code, response.json()["reason"]) == (409, "Conflict")


async def test_dry_run(server: Any) -> None:
    """A dry run answers what would be and stores nothing, also where it would create."""
    before = server.ctx.store.revision
    shown = await apply(server, "configmaps/t1", config_map(data={"a": "1"}), dryRun="All")
    assert managers(shown) == [("m", "Apply", "v1")]
    assert server.ctx.store.revision == before
    assert (await server.call("GET", "configmaps/t1")).status_code == 404


@pytest.mark.parametrize(
    ("agent", "manager"),
    [
        ("kubectl/v1.36.4 (linux/amd64)", "kubectl"),
        ("python-requests/2.3", "python-requests"),
        ("x" * 200, "x" * 128),
        ("Mozilla 5.0", "Mozilla 5.0"),
    ],
)
async def test_managers_by_user_agent(server: Any, agent: str, manager: str) -> None:
    """Who names no manager is known by the user agent up to its slash, at most 128 bytes of it."""
    headers = {"user-agent": agent}
    created = await server.ok("POST", "configmaps", config_map(data={"a": "1"}), headers=headers)
    assert managers(created) == [(manager, "Update", "v1")]


async def test_every_write_is_tracked(server: Any) -> None:
    """Create, replace and each patch note what they changed, under their own name and endpoint."""
    base = deployment(replicas=1)
    await server.ok("POST", f"{DEPLOYMENTS}?fieldManager=creator", base)
    await server.ok("PATCH", f"{DEPLOYMENTS}/web?fieldManager=merger", {"spec": {"paused": True}}, type=MERGE)
    status = {"status": {"replicas": 3}}
    await server.ok("PATCH", f"{DEPLOYMENTS}/web/status?fieldManager=statist", status, type=MERGE)
    scale = {"spec": {"replicas": 4}}
    await server.ok("PATCH", f"{DEPLOYMENTS}/web/scale?fieldManager=scaler", scale, type=MERGE)
    obj = await server.ok("GET", f"{DEPLOYMENTS}/web")
    assert managers(obj) == [
        ("creator", "Update", "apps/v1"),
        ("merger", "Update", "apps/v1"),
        ("scaler", "Update", "apps/v1", "scale"),
        ("statist", "Update", "apps/v1", "status"),
    ]
    assert fields(obj, "merger") == {"f:spec": {"f:paused": {}}}
    assert fields(obj, "scaler") == {"f:spec": {"f:replicas": {}}}
    assert fields(obj, "statist") == {"f:status": {"f:replicas": {}}}
    assert "f:replicas" not in fields(obj, "creator")["f:spec"]


@pytest.mark.parametrize("reset", [[{}], []])
async def test_managed_fields_are_reset(server: Any, reset: Any) -> None:
    """A patch or a replacement with empty managedFields leaves an untracked object."""
    for method, options in (("PATCH", {"type": MERGE}), ("PUT", {})):
        created = await server.ok("POST", "configmaps", config_map(data={"a": "1"}))
        assert managers(created)
        body = config_map(metadata={"name": "t1", "managedFields": reset}, data={"a": "1"})
        cleared = await server.ok(method, "configmaps/t1", body, **options)
        assert managers(cleared) == []
        await server.ok("DELETE", "configmaps/t1")


async def test_a_change_that_comes_to_nothing_is_not_stored(server: Any) -> None:
    """A null that defaulting fills again changes the times of managers only, and those alone are no reason to write."""
    config = deployment(replicas=None)
    first = await apply(server, f"{DEPLOYMENTS}/web", config)
    server.clock.advance(5)
    assert await apply(server, f"{DEPLOYMENTS}/web", config) == first


async def test_status_and_spec_keep_to_their_endpoints(server: Any) -> None:
    """An applied status counts only at /status, and there nothing else does."""
    await apply(server, f"{DEPLOYMENTS}/web", {**deployment(replicas=1), "status": {"replicas": 7}})
    body = {**deployment(replicas=9), "status": {"replicas": 3}}
    body["metadata"] = {"name": "web", "labels": {"x": "y"}}
    obj = await apply(server, f"{DEPLOYMENTS}/web/status", body, "kcm")
    assert (obj["spec"]["replicas"], obj["status"]["replicas"]) == (1, 3)
    assert "labels" not in obj["metadata"]
    assert fields(obj, "kcm") == {"f:status": {"f:replicas": {}}}
    assert "f:status" not in fields(obj, "m")
    missing = await server.call("PATCH", f"{DEPLOYMENTS}/no/status?fieldManager=m", {**body}, type=APPLY)
    assert missing.status_code in (400, 404)


async def test_scale(server: Any) -> None:
    """An applied Scale owns the workload's replicas: conflicts, force, and giving them up by owning nothing else."""
    await apply(server, f"{DEPLOYMENTS}/web", deployment(replicas=1))
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 5}}
    url = f"{DEPLOYMENTS}/web/scale?fieldManager=hpa"
    message = 'Apply failed with 1 conflict: conflict with "m": .spec.replicas'
    details = await server.refused("PATCH", url, 409, "Conflict", message, scale, type=APPLY)
    assert details["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "m"', "field": ".spec.replicas"}
    ]
    scaled = await server.ok("PATCH", f"{url}&force=true", scale, type=APPLY)
    assert (scaled["kind"], scaled["spec"]["replicas"]) == ("Scale", 5)
    obj = await server.ok("GET", f"{DEPLOYMENTS}/web")
    assert managers(obj) == [("hpa", "Apply", "apps/v1", "scale"), ("m", "Apply", "apps/v1")]
    assert fields(obj, "hpa") == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in fields(obj, "m")["f:spec"]
    message = 'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale": .spec.replicas'
    query = "?fieldManager=m"
    await server.refused(
        "PATCH", f"{DEPLOYMENTS}/web{query}", 409, "Conflict", message, deployment(replicas=1), type=APPLY
    )
    kept = await apply(server, f"{DEPLOYMENTS}/web", deployment())
    assert kept["spec"]["replicas"] == 5
    response = await server.call("PATCH", f"{DEPLOYMENTS}/no/scale?fieldManager=hpa", scale, type=APPLY)
    assert response.status_code == 404
    wrong = {**scale, "kind": "Deployment"}
    message = "invalid object type: autoscaling/v1, Kind=Deployment"
    await server.refused("PATCH", url, 400, "BadRequest", message, wrong, type=APPLY)
    bad = {**scale, "spec": {"replicas": -1}}
    response = await server.call("PATCH", url, bad, type=APPLY)
    assert (response.status_code, response.json()["details"]["kind"]) == (422, "Scale")


async def test_owners_in_another_version(server: Any) -> None:
    """An autoscaler owned through v2 conflicts with v1's appliers in v1's terms, and loses there what v1 takes."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 5, "metrics": [cpu]}
    kind = {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}}
    await apply(server, HPAS.format("v2"), {"apiVersion": "autoscaling/v2", **kind, "spec": spec}, "new")
    url = HPAS.format("v1")
    config = {"apiVersion": "autoscaling/v1", **kind, "spec": {"minReplicas": 3}}
    message = 'Apply failed with 1 conflict: conflict with "new": .spec.minReplicas'
    await server.refused("PATCH", f"{url}?fieldManager=old", 409, "Conflict", message, config, type=APPLY)
    obj = await apply(server, url, config, "old", force="true")
    assert managers(obj) == [("new", "Apply", "autoscaling/v2"), ("old", "Apply", "autoscaling/v1")]
    assert set(fields(obj, "new")["f:spec"]) == {"f:maxReplicas", "f:metrics", "f:scaleTargetRef"}
    config["spec"] = {"targetCPUUtilizationPercentage": 80}
    obj = await apply(server, url, config, "old", force="true")
    assert set(fields(obj, "new")["f:spec"]) == {"f:maxReplicas", "f:scaleTargetRef"}
    assert "minReplicas" not in obj["spec"] or obj["spec"]["minReplicas"] == 1
    moved = {"apiVersion": "autoscaling/v2", **kind}
    obj = await apply(server, HPAS.format("v2"), moved, "old")
    assert "old" not in {name for name, *_ in managers(obj)}


async def test_from_client_side_apply(server: Any) -> None:
    """kubectl takes over by server-side apply what it has set by client-side apply, without conflict, and keeps its
    annotation up to date; fields that have changed since, and other managers, conflict."""
    config = config_map(data={"a": "1", "b": "1"})
    annotated = {"name": "t1", "annotations": {ANNOTATION: json.dumps(config) + "\n"}}
    await server.ok("POST", "configmaps?fieldManager=kubectl-client-side-apply", {**config, "metadata": annotated})
    new = config_map(data={"a": "2<", "b": "1"})
    theirs = 'conflict with "kubectl-client-side-apply" using v1: .data'
    message = f"Apply failed with 1 conflict: {theirs}.a"
    await server.refused("PATCH", "configmaps/t1?fieldManager=x", 409, "Conflict", message, new, type=APPLY)
    obj = await apply(server, "configmaps/t1", new, "kubectl")
    assert obj["data"] == new["data"]
    assert fields(obj, "kubectl") == {"f:data": {"f:a": {}, "f:b": {}}}
    noted = obj["metadata"]["annotations"][ANNOTATION]
    assert noted.endswith('"metadata":{"name":"t1"}}\n')
    assert '"a":"2\\u003c"' in noted
    assert json.loads(noted) == new
    await server.ok("PATCH", "configmaps/t1?fieldManager=edit", {"data": {"b": "9"}}, type=MERGE)
    message = 'Apply failed with 1 conflict: conflict with "edit" using v1: .data.b'
    await server.refused("PATCH", "configmaps/t1?fieldManager=kubectl", 409, "Conflict", message, new, type=APPLY)


async def test_duplicates_in_the_stored_list(server: Any) -> None:
    """Ports that only their protocol tells apart are two; equal variables that an older client wrote twice become the
    configuration's one."""
    twice = [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}, {"name": "A", "value": "2"}]
    ports = [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]
    container = {"name": "c", "image": "i", "env": twice, "ports": ports}
    body = deployment()
    body["spec"]["template"]["spec"]["containers"] = [container]
    await server.ok("POST", f"{DEPLOYMENTS}?fieldManager=old", body)
    body["spec"]["template"]["spec"]["containers"] = [
        {"name": "c", "env": [{"name": "A", "value": "3"}], "ports": [{"containerPort": 53, "name": "dns"}]}
    ]
    obj = await apply(server, f"{DEPLOYMENTS}/web", body, force="true")
    [container] = obj["spec"]["template"]["spec"]["containers"]
    assert sorted(container["env"], key=str) == [{"name": "A", "value": "3"}, {"name": "B", "value": "1"}]
    assert container["ports"] == [
        {"containerPort": 53, "protocol": "UDP"},
        {"containerPort": 53, "name": "dns", "protocol": "TCP"},
    ]


async def test_entries_of_a_client(server: Any) -> None:
    """A writer may bring managedFields of its own, however sparse; what makes no sense leaves those that were there."""
    entry = {"operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}}
    await server.ok("POST", "configmaps", config_map(data={"a": "1"}))
    for entries in ([entry], [{**entry, "manager": "x", "apiVersion": "v1"}], [{**entry, "operation": "Foo"}]):
        body = config_map(metadata={"name": "t1", "managedFields": entries}, data={"a": "1"})
        for _ in range(2):
            replaced = await server.ok("PUT", "configmaps/t1", body)
    assert managers(replaced) == [("x", "Apply", "v1")]
    assert (await apply(server, "configmaps/t1", config_map(), "x")).get("data", {}) == {}


async def test_live_objects_that_do_not_fit(server: Any) -> None:
    """Nobody looks into a StatefulSet's pod template, or at the names of an account's secrets. Where apply then cannot
    tell such elements apart, it says so, also before anybody is known to own them."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}
    untracked = {**account, "metadata": {"name": "a", "managedFields": []}, "secrets": [{"namespace": "x"}]}
    await server.ok("POST", "serviceaccounts", account)
    await server.ok("PUT", "serviceaccounts/a", untracked)
    answer = await server.call("PATCH", "serviceaccounts/a?fieldManager=m", account, type=APPLY, failing=True)
    assert answer.json()["message"].startswith(
        "failed to create typed live object (default/a; /v1, Kind=ServiceAccount): .secrets: element 0: associative "
    )
    path = "/apis/apps/v1/namespaces/default/statefulsets/db"
    body = {**deployment(), "kind": "StatefulSet", "metadata": {"name": "db"}}
    await apply(server, path, body)
    await server.ok("PATCH", path, {"spec": {"template": {"spec": {"containers": [{"image": "i"}]}}}}, type=MERGE)
    config = {**body, "spec": {"replicas": 1}}
    answer = await server.call("PATCH", f"{path}?fieldManager=m&force=true", config, type=APPLY, failing=True)
    status = answer.json()
    assert (status["code"], status.get("reason")) == (500, None)
    assert status["message"] == (
        "failed to create typed live object (default/db; apps/v1, Kind=StatefulSet): .spec.template.spec.containers: "
        'element 0: associative list with keys has an element that omits all key fields ["name"] '
        "(and doesn't have default values for any key fields)"
    )

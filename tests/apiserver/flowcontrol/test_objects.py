"""Flow schemas, priority levels and APIServices: there from the start, kept in step, shown in headers."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.request import User
from minik8s.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from minik8s.apiserver.flowcontrol.matching import matches
from minik8s.apiserver.requestinfo import RequestInfo, parse_path
from minik8s.machinery.meta import name_of
from minik8s.schema.decode import decode

pytestmark = pytest.mark.anyio

SCHEMAS = FLOW_SCHEMAS.path()
LEVELS = PRIORITY_LEVEL_CONFIGURATIONS.path()
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
EVERYBODY = ("system:authenticated",)
NODE = User("system:node:a", groups=("system:nodes", *EVERYBODY))


@pytest.mark.parametrize(
    ("user", "verb", "path", "schema"),
    [
        (User("root", groups=("system:masters", *EVERYBODY)), "get", "/healthz", "exempt"),
        (User("jane", groups=EVERYBODY), "get", "/healthz", "probes"),
        (User("jane", groups=EVERYBODY), "get", "/version", "global-default"),
        (User("jane", groups=EVERYBODY), "list", "/api/v1/pods", "global-default"),
        (User("nobody", groups=("system:unauthenticated",)), "list", "/api/v1/pods", "global-default"),
        (
            User("system:node:a", groups=("system:nodes", *EVERYBODY)),
            "patch",
            "/api/v1/nodes/a/status",
            "system-node-high",
        ),
        (User("system:node:a", groups=("system:nodes", *EVERYBODY)), "list", "/api/v1/pods", "system-nodes"),
        (
            User("system:kube-scheduler", groups=EVERYBODY),
            "update",
            "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x",
            "system-leader-election",
        ),
        (User("system:kube-scheduler", groups=EVERYBODY), "list", "/api/v1/pods", "kube-scheduler"),
        (
            User("system:serviceaccount:kube-system:coredns", groups=("system:serviceaccounts", *EVERYBODY)),
            "list",
            "/api/v1/services",
            "kube-system-service-accounts",
        ),
        (
            User("system:serviceaccount:default:default", groups=("system:serviceaccounts", *EVERYBODY)),
            "list",
            "/api/v1/services",
            "service-accounts",
        ),
    ],
)
async def test_the_first_schema_that_matches(server: Any, user: User, verb: str, path: str, schema: str) -> None:
    """By precedence, as upstream's bootstrap objects have it."""
    items = (await server.ok("GET", SCHEMAS))["items"]
    ordered = sorted(items, key=lambda item: (item["spec"]["matchingPrecedence"], name_of(item)))
    info: RequestInfo | None = parse_path(path)
    assert next(name_of(item) for item in ordered if matches(item, user, verb, info, path)) == schema


async def test_answers_name_their_flow(guarded: Any, admin: dict[str, str]) -> None:
    """By the uids of schema and level; what a schema does not match has another one."""
    uids = {
        name_of(i): i["metadata"]["uid"] for i in (await guarded.call("GET", SCHEMAS, headers=admin)).json()["items"]
    }
    levels = {
        name_of(i): i["metadata"]["uid"] for i in (await guarded.call("GET", LEVELS, headers=admin)).json()["items"]
    }
    for headers, schema, level in ((admin, "exempt", "exempt"), ({}, "global-default", "global-default")):
        response = await guarded.call("GET", "configmaps", headers=headers)
        assert response.headers["x-kubernetes-pf-flowschema-uid"] == uids[schema]
        assert response.headers["x-kubernetes-pf-prioritylevel-uid"] == levels[level]


async def test_a_new_schema_counts_at_once(guarded: Any, admin: dict[str, str]) -> None:
    """As long as its level exists; its condition says whether it does."""
    rule = {"verbs": ["list"], "apiGroups": [""], "resources": ["configmaps"], "namespaces": ["default"]}
    subject = {"kind": "User", "user": {"name": "system:anonymous"}}
    spec = {
        "priorityLevelConfiguration": {"name": "mine"},
        "matchingPrecedence": 50,
        "rules": [{"subjects": [subject], "resourceRules": [rule]}],
    }
    body = {"metadata": {"name": "mine"}, "spec": spec}
    await guarded.ok("POST", SCHEMAS, body, headers=admin)
    found = await guarded.ok("GET", f"{SCHEMAS}/mine", headers=admin)
    assert [(c["type"], c["status"], c["reason"]) for c in found["status"]["conditions"]] == [
        ("Dangling", "True", "NotFound")
    ]
    before = await guarded.call("GET", "configmaps")
    assert before.headers["x-kubernetes-pf-flowschema-uid"] != found["metadata"]["uid"]
    level = {
        "metadata": {"name": "mine"},
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}},
    }
    await guarded.ok("POST", LEVELS, level, headers=admin)
    found = await guarded.ok("GET", f"{SCHEMAS}/mine", headers=admin)
    assert found["status"]["conditions"][0]["status"] == "False"
    after = await guarded.call("GET", "configmaps")
    assert after.headers["x-kubernetes-pf-flowschema-uid"] == found["metadata"]["uid"]
    await guarded.ok("DELETE", f"{LEVELS}/mine", headers=admin)
    found = await guarded.ok("GET", f"{SCHEMAS}/mine", headers=admin)
    assert found["status"]["conditions"][0]["status"] == "True"


@pytest.mark.parametrize("resource", [FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS], ids=lambda r: r.plural)
async def test_what_is_there_from_the_start_is_canonical(server: Any, resource: Any) -> None:
    """It was put into the store as it is, so it must be as a write would have made it."""
    for item in (await server.ok("GET", resource.path()))["items"]:
        item = {"kind": resource.kind, "apiVersion": resource.api_version, **item}
        assert decode(item, resource.type, resource.kind).obj == item
        before = server.ctx.store.revision
        written = await server.ok("PUT", f"{resource.path()}/{name_of(item)}", item)
        written["metadata"].pop("managedFields", None)
        written["metadata"]["resourceVersion"] = item["metadata"]["resourceVersion"]
        assert written == item
        assert server.ctx.store.revision <= before + 1


async def test_every_group_version_has_its_api_service(server: Any) -> None:
    """Local and available, with upstream's priorities; one that is deleted comes back."""
    items = (await server.ok("GET", SERVICES))["items"]
    served = {f"{r.version}.{r.group}" for r in server.ctx.registry.resources}
    assert {name_of(item) for item in items} == served
    by_name = {name_of(item): item for item in items}
    apps = by_name["v1.apps"]
    assert apps["spec"] == {"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15}
    assert [(c["type"], c["status"], c["reason"]) for c in apps["status"]["conditions"]] == [
        ("Available", "True", "Local")
    ]
    assert by_name["v1."]["spec"] == {"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1}
    await server.ok("DELETE", f"{SERVICES}/v1.apps")
    again = await server.ok("GET", f"{SERVICES}/v1.apps")
    assert again["metadata"]["uid"] != apps["metadata"]["uid"]


async def test_api_services_follow_definitions(server: Any) -> None:
    """A group version of custom resources has one while it is served."""
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await server.ok("POST", path, {"metadata": {"name": "widgets.example.com"}, "spec": spec})
    found = await server.ok("GET", f"{SERVICES}/v1.example.com")
    assert found["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}
    assert (found["spec"]["groupPriorityMinimum"], found["spec"]["versionPriority"]) == (1000, 100)
    await server.ok("DELETE", f"{path}/widgets.example.com")
    assert (await server.call("GET", f"{SERVICES}/v1.example.com")).status_code == 404

"""Every kind goes through the whole server: created from the least a client can say, read, replaced by itself."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from minik8s.api import resources as r
from minik8s.api.request import APPLY_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from minik8s.api.resource import Resource
from tests.api.documents import document, variation

CONTAINERS = [{"name": "c", "image": "busybox"}]
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": CONTAINERS}}
WORKLOAD = {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}}
JOB = {"template": {"spec": {"containers": CONTAINERS, "restartPolicy": "Never"}}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
ROLE = {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}
WEBHOOK = {
    "name": "a.example.com",
    "clientConfig": {"url": "https://example.com/x"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
}
EVENT = {"involvedObject": {"namespace": "default"}}
SCHEMA = {"schema": {"openAPIV3Schema": {"type": "object"}}}
PATCH = "[JSONPatch{op: 'remove', path: '/spec/x'}]"
POLICY = {"matchConstraints": {"resourceRules": WEBHOOK["rules"]}, "failurePolicy": "Ignore"}

LEAST: list[tuple[Resource[Any], dict[str, Any]]] = [
    (r.CONFIG_MAPS, {"data": {"a": "b"}}),
    (r.ENDPOINTS, {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}),
    (r.EVENTS, EVENT),
    (r.LIMIT_RANGES, {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}),
    (r.NAMESPACES, {}),
    (r.NODES, {}),
    (r.PERSISTENT_VOLUME_CLAIMS, {"spec": CLAIM}),
    (
        r.PERSISTENT_VOLUMES,
        {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/a"}}},
    ),
    (r.PODS, {"spec": {"containers": CONTAINERS}}),
    (r.POD_TEMPLATES, {"template": TEMPLATE}),
    (r.REPLICATION_CONTROLLERS, {"spec": {"template": TEMPLATE}}),
    (r.RESOURCE_QUOTAS, {"spec": {"hard": {"pods": "1"}}}),
    (r.SECRETS, {"stringData": {"a": "b"}}),
    (r.SERVICE_ACCOUNTS, {}),
    (r.SERVICES, {"spec": {"ports": [{"port": 80}]}}),
    (r.API_SERVICES, {"spec": {"group": "e.io", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 1}}),
    (r.CONTROLLER_REVISIONS, {"data": {"a": 1}, "revision": 1}),
    (r.DAEMON_SETS, WORKLOAD),
    (r.DEPLOYMENTS, WORKLOAD),
    (r.REPLICA_SETS, WORKLOAD),
    (r.STATEFUL_SETS, WORKLOAD),
    (r.HORIZONTAL_POD_AUTOSCALERS, {"spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "D", "name": "d"}}}),
    (r.HORIZONTAL_POD_AUTOSCALERS_V1, {"spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "D", "name": "d"}}}),
    (r.CRON_JOBS, {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": JOB}}}),
    (r.JOBS, {"spec": JOB}),
    (r.INGRESS_CLASSES, {"spec": {"controller": "example.com/x"}}),
    (r.INGRESSES, {"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}),
    (r.IP_ADDRESSES, {"spec": {"parentRef": {"resource": "services", "name": "s", "namespace": "default"}}}),
    (r.NETWORK_POLICIES, {"spec": {"podSelector": {}}}),
    (r.SERVICE_CIDRS, {"spec": {"cidrs": ["10.99.0.0/24"]}}),
    (r.POD_DISRUPTION_BUDGETS, {"spec": {"minAvailable": 1}}),
    (r.CLUSTER_ROLES, ROLE),
    (r.CLUSTER_ROLE_BINDINGS, {"roleRef": {"kind": "ClusterRole", "name": "admin"}}),
    (r.ROLES, ROLE),
    (r.ROLE_BINDINGS, {"roleRef": {"kind": "Role", "name": "a"}}),
    (r.CSI_DRIVERS, {"spec": {}}),
    (r.CSI_NODES, {"spec": {"drivers": []}}),
    (r.CSI_STORAGE_CAPACITIES, {"storageClassName": "s"}),
    (r.STORAGE_CLASSES, {"provisioner": "example.com/x"}),
    (r.VOLUME_ATTACHMENTS, {"spec": {"attacher": "x", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}),
    (r.VOLUME_ATTRIBUTES_CLASSES, {"driverName": "example.com", "parameters": {"a": "b"}}),
    (r.MUTATING_WEBHOOK_CONFIGURATIONS, {"webhooks": [WEBHOOK]}),
    (r.VALIDATING_WEBHOOK_CONFIGURATIONS, {"webhooks": [WEBHOOK]}),
    (r.VALIDATING_ADMISSION_POLICIES, {"spec": {**POLICY, "validations": [{"expression": "true"}]}}),
    (r.VALIDATING_ADMISSION_POLICY_BINDINGS, {"spec": {"policyName": "p", "validationActions": ["Deny"]}}),
    (
        r.MUTATING_ADMISSION_POLICIES,
        {
            "spec": {
                **POLICY,
                "reinvocationPolicy": "Never",
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": PATCH}}],
            }
        },
    ),
    (r.MUTATING_ADMISSION_POLICY_BINDINGS, {"spec": {"policyName": "p"}}),
    (r.PRIORITY_CLASSES, {"value": 5}),
    (r.LEASES, {"spec": {"holderIdentity": "h"}}),
    (r.RUNTIME_CLASSES, {"handler": "h"}),
    (r.ENDPOINT_SLICES, {"addressType": "IPv4", "endpoints": [], "ports": []}),
    (r.DEVICE_CLASSES, {"spec": {}}),
    (r.RESOURCE_CLAIMS, {"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "g"}}]}}}),
    (r.RESOURCE_CLAIM_TEMPLATES, {"spec": {"spec": {}}}),
    (
        r.RESOURCE_SLICES,
        {"spec": {"driver": "d", "allNodes": True, "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}},
    ),
    (
        r.FLOW_SCHEMAS,
        {"spec": {"priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 5}},
    ),
    (
        r.PRIORITY_LEVEL_CONFIGURATIONS,
        {"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}},
    ),
]
NAMES = {r.API_SERVICES: "v1.e.io", r.IP_ADDRESSES: "10.99.0.7"}
ELSEWHERE = {r.EVENTS_V1, r.CUSTOM_RESOURCE_DEFINITIONS, r.CERTIFICATE_SIGNING_REQUESTS}
"""Kinds whose least object has tests of its own."""
FILLED_IN = {r.PODS, r.JOBS, r.NAMESPACES}
"""Kinds in which the server fills in what nobody owns and nobody may take away: who applies it cannot give it up."""


HARMLESS = [(resource, body) for resource, body in LEAST if resource.group != "admissionregistration.k8s.io"]
"""Kinds whose objects do not change what happens to other objects, by webhooks that nobody serves."""


def test_the_table_is_complete() -> None:
    """Every kind that can be created and replaced is tried below."""
    kinds = {resource for resource in r.BUILTIN if {"create", "update"} <= {*resource.verbs}}
    assert kinds == {resource for resource, _ in LEAST} | ELSEWHERE


@pytest.mark.anyio
@pytest.mark.parametrize(("resource", "body"), LEAST, ids=lambda v: getattr(v, "group_resource", ""))
async def test_replacing_an_object_by_itself_is_no_change(
    server: Any, resource: Resource[Any], body: dict[str, Any]
) -> None:
    """What a client read it can write back, by PUT and by every patch, and nothing happens: no new version."""
    name = NAMES.get(resource, "x1")
    collection = resource.path("default")
    created = await server.ok("POST", collection, {**body, "metadata": {"name": name}})
    path = f"{collection}/{name}"
    read = await server.ok("GET", path)
    assert read == created
    assert (read["kind"], read["apiVersion"]) == (resource.kind, resource.api_version)
    assert await server.ok("PUT", path, read) == read
    for content_type in (MERGE_PATCH, STRATEGIC_PATCH):
        assert await server.ok("PATCH", path, read, type=content_type) == read
    if status := resource.subresource("status"):
        assert status.verbs == ("get", "patch", "update")
        assert await server.ok("PUT", f"{path}/status", read) == read
    config = {**body, "metadata": {"name": name}, "kind": resource.kind, "apiVersion": resource.api_version}
    applied = await server.ok("PATCH", f"{path}?fieldManager=f&force=true", config, type=APPLY_PATCH)
    assert {**applied, "metadata": 0} == {**read, "metadata": 0}
    assert applied["metadata"].get("generation") == read["metadata"].get("generation")
    await server.ok("DELETE", path)


@pytest.mark.anyio
@pytest.mark.parametrize(("resource", "body"), LEAST, ids=lambda v: getattr(v, "group_resource", ""))
async def test_applying_what_was_read(server: Any, resource: Resource[Any], body: dict[str, Any]) -> None:
    """A whole object can be applied, at /status as well, and comes out as it was; again, nothing is written; given
    up it stays as far as its creator owns it."""
    name = NAMES.get(resource, "x1")
    collection = resource.path("default")
    read = await server.ok("POST", f"{collection}?fieldManager=creator", {**body, "metadata": {"name": name}})
    path = f"{collection}/{name}"
    metadata = {key: read["metadata"][key] for key in ("name", "labels", "annotations") if key in read["metadata"]}
    config = {**read, "metadata": metadata}
    for subresource in ("", "/status"):
        if subresource and resource.subresource("status") is None:
            continue
        url = f"{path}{subresource}?fieldManager=m"
        applied = await server.ok("PATCH", url, config, type=APPLY_PATCH)
        assert {**applied, "metadata": 0} == {**read, "metadata": 0}
        assert await server.ok("PATCH", url, config, type=APPLY_PATCH) == applied
        if resource in FILLED_IN:
            continue
        least = {key: config[key] for key in ("apiVersion", "kind")} | {"metadata": {"name": name}}
        left = await server.ok("PATCH", url, least, type=APPLY_PATCH)
        assert "m" not in {entry["manager"] for entry in left["metadata"].get("managedFields", ())}
        if not subresource:
            assert {**left, "metadata": 0} == {**read, "metadata": 0}, "the creator owns all of it"


@pytest.mark.anyio
@pytest.mark.parametrize(("resource", "body"), LEAST, ids=lambda v: getattr(v, "group_resource", ""))
async def test_any_status(server: Any, resource: Resource[Any], body: dict[str, Any]) -> None:
    """Whatever a controller writes as status, however little of it, is stored or refused; no bug answers."""
    if resource.subresource("status") is None:
        return
    name = NAMES.get(resource, "x1")
    path = f"{resource.path('default')}/{name}"
    await server.ok("POST", resource.path("default"), {**body, "metadata": {"name": name}})
    type = resource.type.fields["status"].type
    numbers = [field for field, known in type.fields.items() if known.type.kind in ("int32", "int64")]
    statuses = [{}, *({field: number} for field in numbers for number in (-4, 0, 4))]
    for status in [*statuses, *(document(type, seed) for seed in range(20))]:
        answer = await server.call("PUT", f"{path}/status", {"metadata": {"name": name}, "status": status})
        assert answer.status_code < 500, (status, answer.text)
        if status == {}:
            continue
        answer = await server.call("PATCH", f"{path}/status", {"status": status}, type=MERGE_PATCH)
        assert answer.status_code < 500, (status, answer.text)


def test_variations(start: Any) -> None:
    """Whatever of a kind's fields a client sets: no bug answers, and what was stored can be written back unchanged."""

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(st.lists(st.tuples(st.sampled_from(HARMLESS), st.integers(0, 2**32)), min_size=20, max_size=20))
    def run(drawn: list[tuple[tuple[Resource[Any], dict[str, Any]], int]]) -> None:
        async def body() -> None:
            async with start() as server:
                for number, ((resource, least), seed) in enumerate(drawn):
                    await _round_trip(server, resource, variation(resource.type, least, seed), f"x{number}")

        anyio.run(body)

    run()


async def _round_trip(server: Any, resource: Resource[Any], doc: dict[str, Any], name: str) -> None:
    collection, name = resource.path("default"), NAMES.get(resource, name)
    created = await server.call("POST", collection, {**doc, "metadata": {"name": name}})
    assert created.status_code < 500, created.text
    if created.status_code != 201:
        return
    read = await server.ok("GET", f"{collection}/{name}")
    assert read == created.json()
    assert await server.ok("PUT", f"{collection}/{name}", read) == read
    assert await server.ok("PATCH", f"{collection}/{name}", read, type=MERGE_PATCH) == read
    if resource.subresource("status"):
        assert await server.ok("PUT", f"{collection}/{name}/status", read) == read

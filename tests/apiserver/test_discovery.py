"""Discovery documents: what clients need to find a resource."""

from __future__ import annotations

import attrs
import pytest

from minik8s.api.resources import BUILTIN, DEPLOYMENTS, PODS, SERVICE_ACCOUNTS
from minik8s.apiserver import discovery


def test_core_and_groups_are_told_apart() -> None:
    """/api has one item without a name, /apis has the named groups in the order given."""
    core = discovery.aggregated_core(BUILTIN)
    assert [item["metadata"] for item in core["items"]] == [{}]
    groups = [item["metadata"]["name"] for item in discovery.aggregated_groups(BUILTIN)["items"]]
    assert groups[:4] == ["apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io"]
    assert len(set(groups)) == len(groups)


def test_the_first_version_is_preferred() -> None:
    """autoscaling lists v2 before v1, and prefers it in the legacy documents too."""
    items = discovery.aggregated_groups(BUILTIN)["items"]
    autoscaling = next(item for item in items if item["metadata"]["name"] == "autoscaling")
    assert [v["version"] for v in autoscaling["versions"]] == ["v2", "v1"]
    group = discovery.api_group("autoscaling", BUILTIN)
    assert group is not None
    assert group["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}


def test_an_aggregated_resource() -> None:
    """Everything kubectl resolves names by is there; verbs are sorted."""
    (item,) = discovery.aggregated_groups([DEPLOYMENTS])["items"]
    (resource,) = item["versions"][0]["resources"]
    assert resource == {
        "resource": "deployments",
        "responseKind": {"group": "", "version": "", "kind": "Deployment"},
        "scope": "Namespaced",
        "singularResource": "deployment",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["deploy"],
        "categories": ["all"],
        "subresources": [
            {
                "subresource": "scale",
                "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                "verbs": ["get", "patch", "update"],
            },
            {
                "subresource": "status",
                "responseKind": {"group": "", "version": "", "kind": "Deployment"},
                "verbs": ["get", "patch", "update"],
            },
        ],
    }


def test_legacy_resource_lists() -> None:
    """Subresources stand beside their resource; group and version only where they differ."""
    listed = discovery.api_resource_list("v1", [PODS, SERVICE_ACCOUNTS])
    assert listed is not None
    assert "apiVersion" not in listed
    entries = {entry["name"]: entry for entry in listed["resources"]}
    assert entries["pods"]["singularName"] == "pod"
    assert entries["pods/eviction"] == {
        "name": "pods/eviction",
        "singularName": "",
        "namespaced": True,
        "kind": "Eviction",
        "verbs": ["create"],
        "group": "policy",
        "version": "v1",
    }
    assert "group" not in entries["pods/log"]
    assert entries["serviceaccounts/token"]["group"] == "authentication.k8s.io"


@pytest.mark.parametrize("group_version", ["apps/v2", "nope/v1", "v2"])
def test_what_is_not_served_has_no_document(group_version: str) -> None:
    """The caller answers 404."""
    assert discovery.api_resource_list(group_version, BUILTIN) is None
    assert discovery.api_group(group_version.rpartition("/")[0] + "x", BUILTIN) is None


def test_the_etag_follows_the_content() -> None:
    """Equal documents have equal hashes, a new resource changes it."""
    first = discovery.etag(discovery.aggregated_groups(BUILTIN))
    widgets = attrs.evolve(DEPLOYMENTS, group="example.com", plural="widgets", kind="Widget")
    assert first == discovery.etag(discovery.aggregated_groups(list(BUILTIN)))
    assert first != discovery.etag(discovery.aggregated_groups([*BUILTIN, widgets]))


def test_legacy_roots() -> None:
    """/api names v1 and the server's address, /apis every group but the core."""
    assert discovery.api_versions("h:1")["serverAddressByClientCIDRs"][0]["serverAddress"] == "h:1"
    assert [g["name"] for g in discovery.api_group_list([PODS, DEPLOYMENTS])["groups"]] == ["apps"]


def test_storage_versions_have_a_hash() -> None:
    """What is stored says in which version, by upstream's hash; subresources and what is not stored say nothing."""
    listed = discovery.api_resource_list("v1", BUILTIN)
    assert listed is not None
    hashes = {entry["name"]: entry.get("storageVersionHash") for entry in listed["resources"]}
    assert (hashes["pods"], hashes["configmaps"], hashes["events"]) == ("xPOwRZ+Yhw8=", "qFsyl6wFWjQ=", "r2yiGXH7wu8=")
    assert hashes["bindings"] is hashes["pods/status"] is None
    events = discovery.api_resource_list("events.k8s.io/v1", BUILTIN)
    assert events is not None
    assert events["resources"][0]["storageVersionHash"] == hashes["events"]

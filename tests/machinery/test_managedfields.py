"""Ownership: what every write other than an apply leaves in managedFields."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.machinery.managedfields import managed_fields_of, read_managers, track_update
from minik8s.schema import table

NOW = datetime(2026, 11, 23, 10, 35, 8, tzinfo=UTC)
DEPLOYMENT = table.struct("apps/v1", "Deployment")
CONFIG_MAP = table.struct("core/v1", "ConfigMap")

Entries = list[dict[str, Any]]


def deployment(**spec: Any) -> dict[str, Any]:
    """A Deployment as the server stores it, short of a few defaults."""
    container = {"name": "c1", "image": "i", "resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "uid": "1", "resourceVersion": "5", "labels": {"l": "1"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "x"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
            "template": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [container], "securityContext": {}, "nodeSelector": {"k": "v"}},
            },
            **spec,
        },
        "status": {},
    }


def create(obj: dict[str, Any], manager: str = "m", type: table.Type = DEPLOYMENT) -> Entries:
    return track_update(None, obj, [], manager, "apps/v1", "", NOW, type)


def write(old: dict[str, Any], new: dict[str, Any], entries: Entries, manager: str, **more: Any) -> Entries:
    later = NOW + timedelta(seconds=more.get("seconds", 1))
    subresource = more.get("subresource", "")
    type_ = more.get("type", DEPLOYMENT)
    before = copy.deepcopy((old, new, entries))
    result = track_update(old, new, entries, manager, "apps/v1", subresource, later, type_)
    assert (old, new, entries) == before
    return result


def fields_of(entries: Entries, manager: str) -> Any:
    return next((e["fieldsV1"] for e in entries if e["manager"] == manager), None)


def test_create() -> None:
    """A creator owns what it wrote: structs that always exist are not owned themselves, everything new in them is."""
    [entry] = create(deployment())
    fields = entry.pop("fieldsV1")
    assert entry == {
        "manager": "m",
        "operation": "Update",
        "apiVersion": "apps/v1",
        "time": "2026-11-23T10:35:08Z",
        "fieldsType": "FieldsV1",
    }
    assert fields == {
        "f:metadata": {"f:labels": {".": {}, "f:l": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
            "f:template": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"c1"}': {
                            ".": {},
                            "f:image": {},
                            "f:name": {},
                            "f:ports": {
                                ".": {},
                                'k:{"containerPort":80,"protocol":"TCP"}': {
                                    ".": {},
                                    "f:containerPort": {},
                                    "f:protocol": {},
                                },
                            },
                            "f:resources": {},
                        }
                    },
                    "f:nodeSelector": {},
                    "f:securityContext": {},
                },
            },
        },
    }


def test_create_config_map() -> None:
    """Maps and sets own themselves and each of their members; an object without anything owns nothing."""
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "finalizers": ["a.b/c"]}}
    obj |= {"data": {"a": "1"}}
    [entry] = create(obj, type=CONFIG_MAP)
    assert entry["fieldsV1"] == {
        "f:data": {".": {}, "f:a": {}},
        "f:metadata": {"f:finalizers": {".": {}, 'v:"a.b/c"': {}}},
    }
    assert create({"metadata": {"name": "x"}}, type=CONFIG_MAP) == []


def test_update_moves_ownership() -> None:
    """A changed field becomes its writer's and nobody else's, with the writer's time."""
    old, new = deployment(), deployment(replicas=3)
    entries = write(old, new, create(old), "other")
    assert fields_of(entries, "other") == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in fields_of(entries, "m")["f:spec"]
    assert [e["time"] for e in entries] == ["2026-11-23T10:35:08Z", "2026-11-23T10:35:09Z"]
    again = write(new, deployment(replicas=5), entries, "m", seconds=9)
    assert fields_of(again, "other") is None
    assert fields_of(again, "m") == fields_of(create(old), "m")


def test_removal_takes_from_everybody() -> None:
    """A deleted field leaves every set; a writer that only deletes gets neither entry nor time."""
    old = deployment(paused=True)
    new = deployment()
    del new["metadata"]["labels"]
    entries = write(old, new, create(old), "other")
    assert [e["manager"] for e in entries] == ["m"]
    assert "f:metadata" not in entries[0]["fieldsV1"]
    assert "f:paused" not in entries[0]["fieldsV1"]["f:spec"]
    own = write(old, new, create(old), "m")
    assert own[0]["time"] == "2026-11-23T10:35:08Z"


def test_lists() -> None:
    """Elements are owned by key; a new one with everything in it, a changed one by what changed, order not at all."""
    old, new = deployment(), deployment()
    spec = new["spec"]["template"]["spec"]
    spec["containers"] = [{"name": "c2", "image": "j"}, {**spec["containers"][0], "image": "k"}]
    entries = write(old, new, create(old), "other")
    assert fields_of(entries, "other")["f:spec"]["f:template"]["f:spec"]["f:containers"] == {
        'k:{"name":"c2"}': {".": {}, "f:image": {}, "f:name": {}},
        'k:{"name":"c1"}': {"f:image": {}},
    }
    turned = copy.deepcopy(new)
    turned["spec"]["template"]["spec"]["containers"].reverse()
    assert write(new, turned, entries, "third") == entries


def test_elements_with_the_same_key() -> None:
    """A list that breaks its own rule (two variables of one name) is compared as a whole for that key."""
    old, new = deployment(), deployment()
    container = new["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    entries = write(old, new, create(old), "other")
    containers = fields_of(entries, "other")["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert containers == {'k:{"name":"c1"}': {"f:env": {".": {}, 'k:{"name":"A"}': {}}}}


def test_endpoints_own_their_part() -> None:
    """The main endpoint never owns status, /status nothing but status and metadata, unless told otherwise."""
    old, new = deployment(), deployment(replicas=2)
    new["status"] = {"replicas": 2}
    assert fields_of(write(old, new, create(old), "kcm"), "kcm") == {"f:spec": {"f:replicas": {}}}
    entries = write(old, new, create(old), "kcm", subresource="status")
    assert fields_of(entries, "kcm") == {"f:status": {"f:replicas": {}}}
    assert entries[1]["subresource"] == "status"
    everything = track_update(old, new, create(old), "k", "apps/v1", "", NOW, DEPLOYMENT, ignore=())
    assert set(fields_of(everything, "k")) == {"f:spec", "f:status"}


def test_zero_values_are_nobodys() -> None:
    """A field that Go writes even when it is empty is not owned by who left it empty."""
    replica_set = table.struct("apps/v1", "ReplicaSet")
    new = {"metadata": {"name": "x"}, "spec": {"replicas": 1}, "status": {"replicas": 0}}
    entries = track_update(None, new, [], "k", "apps/v1", "status", NOW, replica_set)
    assert entries == []


def test_untracked_stays_untracked() -> None:
    """An existing object without managedFields does not get any from an update, and no change changes nothing."""
    assert write(deployment(), deployment(replicas=2), [], "m") == []
    entries = create(deployment())
    assert write(deployment(), deployment(), entries, "other") == entries


def test_order_and_cap() -> None:
    """Entries are sorted by operation and time, and the oldest updates of a version beyond ten are merged."""
    obj = {"metadata": {"name": "x", "uid": "1"}, "data": {"k": "0"}}
    entries = create(obj, "m00", CONFIG_MAP)
    for i in range(1, 13):
        new = {**obj, "data": {**obj["data"], f"k{i}": "1"}}
        entries = write(obj, new, entries, f"m{i:02}", seconds=i, type=CONFIG_MAP)
        obj = new
    assert [e["manager"] for e in entries] == ["ancient-changes", *(f"m{i:02}" for i in range(4, 13))]
    assert set(entries[0]["fieldsV1"]["f:data"]) == {".", "f:k", "f:k1", "f:k2", "f:k3"}


@pytest.mark.parametrize(
    ("given", "subresource", "kept"),
    [
        (None, "", "stored"),
        ([], "", "stored"),
        ([{}], "", "none"),
        ([{}], "status", "stored"),
        ([{"manager": "x", "operation": "Foo", "fieldsType": "FieldsV1", "fieldsV1": {}}], "", "stored"),
        ([{"manager": "x", "operation": "Apply", "fieldsType": "V2", "fieldsV1": {}}], "", "stored"),
        ([{"manager": "x", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:a": {}}}], "", "given"),
    ],
)
def test_managers_in_a_request(given: Entries | None, subresource: str, kept: str) -> None:
    """A writer may replace or reset the entries of the main resource; nonsense leaves the stored ones."""
    stored = create(deployment())
    old = {"metadata": {"managedFields": stored}}
    new: dict[str, Any] = {"metadata": {} if given is None else {"managedFields": given}}
    expected = {"stored": stored, "none": (), "given": given}[kept]
    assert managed_fields_of(old, new, subresource=subresource) == expected


def test_entries_survive_reading() -> None:
    """Reading and writing an entry gives the same entry."""
    entry = {
        "manager": "m1",
        "operation": "Apply",
        "apiVersion": "apps/v1",
        "time": "2026-11-23T10:35:08Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:a": {}},
        "subresource": "status",
    }
    managers = read_managers([entry])
    assert managers is not None
    assert managers[0].to_entry() == entry


def test_objects_from_one_template_share_their_sets() -> None:
    """What ten thousand alike objects own is kept once; one that differs has its own."""

    def created(name: str, **spec: Any) -> Any:
        new = deployment(**spec)
        new["metadata"] = {"name": name, "labels": {"l": name}}
        return track_update(None, new, (), "m", "apps/v1", "", NOW, DEPLOYMENT)[0]["fieldsV1"]

    first, second, other = created("a"), created("b"), created("c", paused=True)
    assert first is second
    assert other != first
    assert other["f:spec"]["f:paused"] == {}
    assert other["f:spec"]["f:template"] is first["f:spec"]["f:template"]

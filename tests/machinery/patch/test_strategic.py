"""Strategic merge patch: directives, ordering and errors, as vectors over a Deployment."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from minik8s.machinery.errors import ApiError, BadRequest
from minik8s.machinery.patch.strategic import apply_strategic
from minik8s.schema import table

DEPLOYMENT = table.struct("apps/v1", "Deployment")


def deployment() -> dict[str, Any]:
    """The Deployment of the vectors: two containers, two volumes, one toleration."""
    c1 = {
        "name": "c1",
        "image": "i1",
        "args": ["x", "y"],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "ports": [{"containerPort": 80, "name": "http", "protocol": "TCP"}, {"containerPort": 81, "protocol": "TCP"}],
    }
    pod = {
        "containers": [c1, {"name": "c2", "image": "i2"}],
        "volumes": [{"name": "v1", "emptyDir": {}}, {"name": "v2", "configMap": {"name": "m"}}],
        "tolerations": [{"key": "t1"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"a": "1", "b": "2"}, "finalizers": ["a.b/c"]},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}, "spec": pod},
        },
    }


def patched(patch: dict[str, Any]) -> dict[str, Any]:
    """The Deployment after `patch`, checked to have left the original and the patch alone."""
    doc, given = deployment(), copy.deepcopy(patch)
    result = apply_strategic(doc, patch, DEPLOYMENT)
    assert doc == deployment()
    assert patch == given
    return result


def pod_patched(patch: dict[str, Any]) -> dict[str, Any]:
    """The pod spec after a patch inside spec.template.spec."""
    return patched({"spec": {"template": {"spec": patch}}})["spec"]["template"]["spec"]


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ([{"name": "c0", "image": "i0"}], ["c0", "c1", "c2"]),
        ([{"$patch": "delete", "name": "c2"}], ["c1"]),
        ([{"$patch": "replace"}, {"name": "c9", "image": "i9"}], ["c9"]),
        ([{"name": "c2"}], ["c1", "c2"]),
        ([{"name": "c2"}, {"name": "c1"}], ["c2", "c1"]),
        ([{"name": "c2"}, {"name": "c0"}], ["c1", "c2", "c0"]),
        ([{"$patch": "delete", "name": "nope"}], ["c1", "c2"]),
    ],
)
def test_containers(patch: list[dict[str, Any]], expected: list[str]) -> None:
    """Elements merge by name; new ones stand where the patch's order puts them."""
    assert names(pod_patched({"containers": patch})["containers"]) == expected


@pytest.mark.parametrize(
    ("order", "patch", "expected"),
    [
        (["c0", "c2", "c1"], [{"name": "c0", "image": "i"}], ["c0", "c2", "c1"]),
        (["c2", "c1"], None, ["c2", "c1"]),
        (["c2"], None, ["c1", "c2"]),
        (["c2", "c1"], [{"name": "c1", "$patch": "delete"}], ["c2"]),
    ],
)
def test_element_order(order: list[str], patch: list[dict[str, Any]] | None, expected: list[str]) -> None:
    """`$setElementOrder` decides the relative order, with or without a patch of the list itself."""
    body: dict[str, Any] = {"$setElementOrder/containers": [{"name": n} for n in order]}
    if patch is not None:
        body["containers"] = patch
    assert names(pod_patched(body)["containers"]) == expected


def test_nested_lists() -> None:
    """Environment variables, ports and arguments of a container: merged, merged by number, replaced."""
    env = [{"name": "B", "value": "9"}, {"name": "C", "value": "3"}]
    c1 = pod_patched({"containers": [{"name": "c1", "env": env}]})["containers"][0]
    assert c1["env"] == [{"name": "A", "value": "1"}, *env]
    c1 = pod_patched({"containers": [{"name": "c1", "env": [{"$patch": "delete", "name": "A"}]}]})["containers"][0]
    assert c1["env"] == [{"name": "B", "value": "2"}]
    ports = [{"containerPort": 80, "name": "web"}, {"containerPort": 82}]
    c1 = pod_patched({"containers": [{"name": "c1", "ports": ports, "args": ["z"]}]})["containers"][0]
    assert [(p["containerPort"], p.get("name")) for p in c1["ports"]] == [(80, "web"), (82, None), (81, None)]
    assert c1["args"] == ["z"]
    udp = [{"containerPort": 80, "protocol": "UDP"}]
    c1 = pod_patched({"containers": [{"name": "c1", "ports": udp}]})["containers"][0]
    assert c1["ports"][0] == {"containerPort": 80, "name": "http", "protocol": "UDP"}


def test_atomic_list() -> None:
    """A list without merge strategy is replaced."""
    assert pod_patched({"tolerations": [{"key": "t2"}]})["tolerations"] == [{"key": "t2"}]


def test_volumes() -> None:
    """`$retainKeys`, null and deletion of a whole list."""
    new = {"name": "v1", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}
    assert pod_patched({"volumes": [new]})["volumes"][0] == {"name": "v1", "hostPath": {"path": "/x"}}
    both = pod_patched({"volumes": [{"name": "v1", "hostPath": {"path": "/x"}}]})["volumes"][0]
    assert set(both) == {"name", "emptyDir", "hostPath"}
    new = {"name": "v1", "emptyDir": None, "hostPath": {"path": "/x"}}
    assert pod_patched({"volumes": [new]})["volumes"][0] == {"name": "v1", "hostPath": {"path": "/x"}}
    assert "volumes" not in pod_patched({"volumes": None})


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"$retainKeys": ["type"], "type": "Recreate"}, {"type": "Recreate"}),
        ({"type": "Recreate"}, {"type": "Recreate", "rollingUpdate": {"maxSurge": "25%"}}),
        ({"$patch": "replace", "type": "Recreate"}, {"type": "Recreate"}),
        ({"$patch": "delete"}, {}),
        ({"$patch": "merge", "type": "Recreate"}, {"type": "Recreate", "rollingUpdate": {"maxSurge": "25%"}}),
    ],
)
def test_struct_directives(strategy: dict[str, Any], expected: dict[str, Any]) -> None:
    """Directives on a struct."""
    assert patched({"spec": {"strategy": strategy}})["spec"]["strategy"] == expected


def test_metadata() -> None:
    """Maps merge with null as deletion, primitive lists unite or lose values."""
    meta = patched({"metadata": {"labels": {"a": None, "c": "3", "d": None}, "finalizers": ["b.b/b"]}})["metadata"]
    assert meta["labels"] == {"b": "2", "c": "3"}
    assert meta["finalizers"] == ["b.b/b", "a.b/c"]
    gone = patched({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.b/c"]}})["metadata"]
    assert gone["finalizers"] == []
    ordered = {"$setElementOrder/finalizers": ["x/y", "a.b/c"], "finalizers": ["x/y"]}
    assert patched({"metadata": ordered})["metadata"]["finalizers"] == ["x/y", "a.b/c"]


def test_new_values_lose_nulls_and_directives() -> None:
    """What is added under a key that was absent is taken without nulls and directives."""
    new = {"name": "c3", "env": [{"name": "X", "value": None}, {"$patch": "delete", "name": "Y"}], "$retainKeys": ["x"]}
    result = pod_patched({"initContainers": [new]})["initContainers"]
    assert result == [{"name": "c3", "env": [{"name": "X"}]}]


def test_whole_struct_replaced() -> None:
    """A struct with strategy `replace` (the PodDisruptionBudget's selector) does not merge."""
    pdb = {"spec": {"selector": {"matchLabels": {"a": "1"}}}}
    new = {"spec": {"selector": {"matchLabels": {"b": "1"}}}}
    result = apply_strategic(pdb, new, table.struct("policy/v1", "PodDisruptionBudget"))
    assert result == new


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"$patch": "foo"}, "unknown patch type: foo in map: map[$patch:foo]"),
        ({"containers": [{"image": "x"}]}, "map: map[image:x] does not contain declared merge key: name"),
        ({"containers": [{"name": "x", "$patch": "foo"}]}, "unknown patch type: foo in map: map[$patch:foo name:x]"),
        ({"containers": ["x"]}, "map: x does not contain declared merge key: name"),
        ({"volumes": [{"name": "v1", "$retainKeys": ["name"], "hostPath": {}}]}, "invalid patch format of retainKeys"),
        (
            {"$setElementOrder/containers": [{"name": "c1"}], "containers": [{"name": "c9"}]},
            "The order in patch list:\n[map[name:c9]]\n doesn't match $setElementOrder list:\n[map[name:c1]]\n",
        ),
        ({"containers": [{"name": []}]}, "invalid patch format of primitive list"),
        ({"$setElementOrder/containers": {}}, "invalid patch format of setElementOrder list"),
    ],
)
def test_errors(patch: dict[str, Any], message: str) -> None:
    """Malformed patches are client errors with upstream's text."""
    with pytest.raises(ApiError) as raised:
        pod_patched(patch)
    assert raised.value.message == message
    assert 400 <= raised.value.code < 500


def test_not_an_object() -> None:
    """A patch that is no object is a BadRequest."""
    with pytest.raises(BadRequest, match="error decoding patch"):
        apply_strategic({}, [], DEPLOYMENT)


def test_shares_what_is_unchanged() -> None:
    """A label's change leaves the template the same object."""
    doc = deployment()
    result = apply_strategic(doc, {"metadata": {"labels": {"z": "1"}}}, DEPLOYMENT)
    assert result["spec"] is doc["spec"]

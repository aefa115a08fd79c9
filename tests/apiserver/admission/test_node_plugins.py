"""What a kubelet's credentials are good for, and what a pod learns of its node."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.request import ApiRequest, User
from minik8s.api.resource import Resource
from minik8s.apiserver.admission import Attributes
from minik8s.apiserver.admission.noderestriction import NodeRestriction
from minik8s.apiserver.admission.podtopologylabels import PodTopologyLabels
from minik8s.machinery.errors import Forbidden, NotFound
from tests.apiserver.admission.test_plugins import Store

NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))
OWNER = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1", "controller": True}
MIRROR = {"kubernetes.io/config.mirror": "hash"}


def world() -> Store:
    return Store(
        (r.NODES, {"metadata": {"name": "n1", "uid": "u1", "labels": {"topology.kubernetes.io/zone": "z"}}}),
        (r.PODS, {"metadata": {"name": "mine", "uid": "m"}, "spec": {"containers": [], "nodeName": "n1"}}),
        (r.PODS, {"metadata": {"name": "other", "uid": "o"}, "spec": {"containers": [], "nodeName": "n2"}}),
    )


def ask(
    resource: Resource[Any],
    operation: Any,
    new: dict[str, Any] | None,
    old: dict[str, Any] | None = None,
    *,
    subresource: str = "",
    namespace: str = "default",
    user: User = NODE,
) -> None:
    """One write by the node; raises Forbidden."""
    name = (new or old or {})["metadata"].get("name", "")
    request = ApiRequest("create", resource, namespace, name, subresource, user=user)
    NodeRestriction().admit(Attributes(request, operation, new, old, [], dry_run=False), world())


def pod(name: str = "mine", node: str = "n1", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [], "nodeName": node, **spec}}


def mirror(owners: Any = (OWNER,), **spec: Any) -> dict[str, Any]:
    made = pod("static-n1", **spec)
    made["metadata"] |= {"annotations": MIRROR, "ownerReferences": list(owners)}
    return made


def labelled(**labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "n1", "labels": {k.replace("__", "/"): v for k, v in labels.items()}}, "spec": {}}


TOKEN = {
    "metadata": {"name": "default"},
    "spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "mine", "uid": "m"}},
}

ALLOWED: list[tuple[Any, ...]] = [
    (r.PODS, "CREATE", mirror()),
    (r.PODS, "DELETE", None, pod()),
    (r.PODS, "UPDATE", pod(), pod(), "status"),
    (r.PODS, "CREATE", {"metadata": {"name": "mine"}}, None, "eviction"),
    (r.NODES, "CREATE", {"metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1", "a": "b"}}, "spec": {}}),
    (r.SERVICE_ACCOUNTS, "CREATE", TOKEN, None, "token"),
    (r.CONFIG_MAPS, "CREATE", {"metadata": {"name": "c"}}),
]


@pytest.mark.parametrize("case", ALLOWED, ids=lambda case: f"{case[0].plural}-{case[1]}")
def test_what_a_node_may_do(case: tuple[Any, ...]) -> None:
    """Mirror pods, its own pods' status and end, its own Node and lease, tokens of pods on it; RBAC says the rest."""
    resource, operation, new, old, subresource = (*case, None, "")[:5] if len(case) < 5 else case
    ask(resource, operation, new, old, subresource=subresource or "")


REFUSED: list[tuple[tuple[Any, ...], str]] = [
    (
        (r.PODS, "CREATE", pod()),
        'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
    ),
    ((r.PODS, "CREATE", mirror(nodeName="n2")), 'node "n1" can only create pods with spec.nodeName set to itself'),
    ((r.PODS, "CREATE", mirror(())), 'node "n1" can only create pods with an owner reference set to itself'),
    ((r.PODS, "CREATE", mirror([{**OWNER, "uid": "x"}])), "node n1 UID mismatch: expected x got u1"),
    (
        (r.PODS, "CREATE", mirror([{**OWNER, "blockOwnerDeletion": True}])),
        'node "n1" must not set blockOwnerDeletion on an owner reference',
    ),
    (
        (r.PODS, "CREATE", mirror(serviceAccountName="s")),
        'node "n1" can not create pods that reference a service account',
    ),
    (
        (r.PODS, "CREATE", mirror(volumes=[{"name": "v", "secret": {}}])),
        'node "n1" can not create pods that reference secrets',
    ),
    (
        (
            r.PODS,
            "CREATE",
            mirror(containers=[{"name": "c", "env": [{"name": "e", "valueFrom": {"configMapKeyRef": {}}}]}]),
        ),
        'node "n1" can not create pods that reference configmaps',
    ),
    ((r.PODS, "DELETE", None, pod("other", "n2")), 'node "n1" can only delete pods with spec.nodeName set to itself'),
    (
        (r.PODS, "UPDATE", pod(), pod()),
        'unexpected operation "UPDATE", node "n1" can only create and delete mirror pods',
    ),
    (
        (r.PODS, "UPDATE", pod("other", "n2"), pod("other", "n2"), "status"),
        'node "n1" can only update pod status for pods with spec.nodeName set to itself',
    ),
    (
        (r.PODS, "CREATE", {"metadata": {"name": "other"}}, None, "eviction"),
        "node n1 can only evict pods with spec.nodeName set to itself",
    ),
    (
        (r.PODS, "CREATE", pod(), None, "binding"),
        "unexpected pod subresource \"binding\", only 'status' and 'eviction' are allowed",
    ),
    (
        (r.NODES, "UPDATE", {"metadata": {"name": "n2"}}, {"metadata": {"name": "n2"}}),
        'node "n1" is not allowed to modify node "n2"',
    ),
    (
        (
            r.NODES,
            "CREATE",
            labelled(**{"node-role.kubernetes.io__x": "", "foo.node-restriction.kubernetes.io__y": ""}),
        ),
        'node "n1" is not allowed to set the following labels: foo.node-restriction.kubernetes.io/y, '
        "node-role.kubernetes.io/x",
    ),
    ((r.NODES, "UPDATE", labelled(**{"k8s.io__x": ""}), labelled()), "is not allowed to modify labels: k8s.io/x"),
    (
        (r.NODES, "UPDATE", {**labelled(), "spec": {"taints": [{"key": "k"}]}}, labelled()),
        'node "n1" is not allowed to modify taints',
    ),
    (
        (r.PERSISTENT_VOLUME_CLAIMS, "UPDATE", {"metadata": {"name": "c"}}, {"metadata": {"name": "c"}}),
        "may only update PVC status",
    ),
    (
        (r.SERVICE_ACCOUNTS, "CREATE", {"metadata": {"name": "default"}, "spec": {}}, None, "token"),
        "node requested token not bound to a pod",
    ),
    (
        (r.LEASES, "CREATE", {"metadata": {"name": "n1"}}),
        'can only access leases in the "kube-node-lease" system namespace',
    ),
    (
        (r.CSI_NODES, "CREATE", {"metadata": {"name": "n2"}}),
        "can only access CSINode with the same name as the requesting node",
    ),
]


@pytest.mark.parametrize(("case", "why"), REFUSED, ids=lambda value: value[:50] if isinstance(value, str) else "")
def test_what_a_node_may_not_do(case: tuple[Any, ...], why: str) -> None:
    """Everything by which a node could reach beyond itself, in upstream's words; others are not looked at."""
    resource, operation, new, *more = case
    old, subresource = (*more, None, "")[:2] if len(more) < 2 else more
    with pytest.raises(Forbidden) as caught:
        ask(resource, operation, new, old, subresource=subresource or "")
    assert caught.value.message.endswith(f" is forbidden: {why}")
    ask(resource, operation, new, old, subresource=subresource or "", user=User("somebody"))


def test_a_node_without_a_name_and_a_pod_that_is_not_there() -> None:
    """Nobody's credentials are refused, and a pod that is missing is just that."""
    with pytest.raises(Forbidden, match='could not determine node from user "system:node:"'):
        ask(r.PODS, "CREATE", mirror(), user=User("system:node:", groups=("system:nodes",)))
    with pytest.raises(NotFound, match='pods "gone" not found'):
        ask(r.PODS, "CREATE", {"metadata": {"name": "gone"}}, subresource="eviction")


def test_topology_labels() -> None:
    """A binding, and a pod that names its node itself, take over the node's zone."""
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    for obj, subresource in ((binding, "binding"), (pod(), "")):
        request = ApiRequest("create", r.PODS, "default", "p", subresource)
        attributes = Attributes(request, "CREATE", obj, None, [], dry_run=False)
        PodTopologyLabels().admit(attributes, world())
        assert attributes.object is not None
        assert attributes.object["metadata"]["labels"] == {"topology.kubernetes.io/zone": "z"}

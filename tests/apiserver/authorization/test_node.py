"""What a kubelet may do with its own credentials."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest

from minik8s.api.podreferences import config_maps_of, secrets_of
from minik8s.api.request import User
from minik8s.apiserver.authorization import AccessAttributes
from minik8s.apiserver.authorization.bootstrap import create_roles
from minik8s.apiserver.authorization.node import NodeAuthorizer
from minik8s.apiserver.authorization.rbac import RBACAuthorizer
from minik8s.apiserver.codec import DocumentCodec
from minik8s.apiserver.registry import Registry
from minik8s.store import MemoryStore

NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))
POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "shop"},
    "spec": {
        "nodeName": "n1",
        "serviceAccountName": "robot",
        "imagePullSecrets": [{"name": "pull"}],
        "initContainers": [{"name": "i", "env": [{"valueFrom": {"configMapKeyRef": {"name": "init", "key": "k"}}}]}],
        "containers": [
            {
                "name": "c",
                "env": [{"valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}, {"name": "x", "value": "y"}],
                "envFrom": [{"configMapRef": {"name": "all"}}, {"secretRef": {"name": "every"}}],
            }
        ],
        "volumes": [
            {"name": "a", "secret": {"secretName": "vol"}},
            {"name": "b", "configMap": {"name": "conf"}},
            {"name": "c", "projected": {"sources": [{"secret": {"name": "ps"}}, {"configMap": {"name": "pc"}}]}},
            {"name": "d", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "csi"}}},
            {"name": "e", "emptyDir": {}},
            {"name": "f", "persistentVolumeClaim": {"claimName": "claim"}},
        ],
    },
}


def test_references() -> None:
    """Everything a pod names, wherever it does."""
    assert secrets_of(POD) == {"pull", "key", "every", "vol", "ps", "csi"}
    assert config_maps_of(POD) == {"init", "all", "conf", "pc"}


@pytest.fixture
def authorizer() -> NodeAuthorizer:
    """Over a store with one pod on n1, its claim, and another node's pod."""
    store = MemoryStore(DocumentCodec(Registry().indexed, frozen=True))
    other: Any = {
        "metadata": {"name": "q", "namespace": "shop"},
        "spec": {"nodeName": "n2", "containers": [], "imagePullSecrets": [{"name": "theirs"}]},
    }
    claim = {"metadata": {"name": "claim", "namespace": "shop"}, "spec": {"volumeName": "pv"}}
    attachment = {"metadata": {"name": "at"}, "spec": {"nodeName": "n1"}}
    slices = {
        name: {"metadata": {"name": name}, "spec": {"nodeName": node}} for name, node in (("s1", "n1"), ("s2", "n2"))
    }

    async def fill() -> None:
        await create_roles(store, "2026-01-01T00:00:00Z", Random(1))
        await store.put(("pods", "shop", "p"), POD)
        await store.put(("pods", "shop", "q"), other)
        await store.put(("persistentvolumeclaims", "shop", "claim"), claim)
        await store.put(("volumeattachments.storage.k8s.io", "", "at"), attachment)
        for name, found in slices.items():
            await store.put(("resourceslices.resource.k8s.io", "", name), found)

    anyio.run(fill)
    return NodeAuthorizer(store, RBACAuthorizer(store))


UNRELATED = "no relationship found between node 'n1' and this object"
LEASES, STORAGE = "coordination.k8s.io", "storage.k8s.io"


@pytest.mark.parametrize(
    ("verb", "what", "namespace", "name", "refusal"),
    [
        ("get", "secrets", "shop", "vol", None),
        ("watch", "secrets", "shop", "vol", None),
        ("get", "secrets", "shop", "theirs", UNRELATED),
        ("get", "secrets", "other", "vol", UNRELATED),
        ("list", "secrets", "shop", "", "No Object name found"),
        ("list", "secrets", "", "", "can only read namespaced object of this type"),
        ("update", "secrets", "shop", "vol", "can only read resources of this type"),
        ("get", "configmaps", "shop", "conf", None),
        ("get", "configmaps", "shop", "vol", UNRELATED),
        ("get", "persistentvolumeclaims", "shop", "claim", None),
        ("get", "persistentvolumeclaims", "shop", "x", UNRELATED),
        ("patch", "persistentvolumeclaims/status", "shop", "claim", None),
        ("get", "persistentvolumes", "", "pv", None),
        ("get", "persistentvolumes", "", "pv2", UNRELATED),
        ("create", "serviceaccounts/token", "shop", "robot", None),
        ("create", "serviceaccounts/token", "shop", "default", UNRELATED),
        ("create", "serviceaccounts", "shop", "", "can only create tokens for individual service accounts"),
        ("get", "nodes", "", "n1", None),
        ("get", "nodes", "", "n2", "node 'n1' cannot read 'n2', only its own Node object"),
        ("list", "nodes", "", "", "node 'n1' cannot read all nodes, only its own Node object"),
        ("create", "nodes", "", "", None),
        ("patch", "nodes/status", "", "n1", None),
        ("delete", "nodes", "", "n1", ""),
        ("get", "pods", "shop", "p", None),
        ("get", "pods", "shop", "q", UNRELATED),
        ("list", "pods", "", "", "can only list/watch pods with spec.nodeName field selector"),
        ("patch", "pods/status", "shop", "p", None),
        ("create", "pods/eviction", "shop", "p", None),
        ("create", "pods/exec", "shop", "p", ""),
        ("create", "events", "shop", "", None),
        ("delete", "services", "shop", "x", ""),
    ],
)
def test_the_core_group(
    authorizer: NodeAuthorizer, verb: str, what: str, namespace: str, name: str, refusal: str | None
) -> None:
    """Secrets, claims, tokens and the like of the node's own pods; its own node; its own pods."""
    resource, _, sub = what.partition("/")
    decision = authorizer.authorize(AccessAttributes(NODE, verb, "", "v1", resource, sub, namespace, name))
    assert (decision.allowed, decision.reason) == (refusal is None, refusal or "")


@pytest.mark.parametrize(
    ("verb", "group", "what", "namespace", "name", "allowed"),
    [
        ("update", LEASES, "leases", "kube-node-lease", "n1", True),
        ("create", LEASES, "leases", "kube-node-lease", "", True),
        ("update", LEASES, "leases", "kube-node-lease", "n2", False),
        ("update", LEASES, "leases", "kube-system", "n1", False),
        ("list", LEASES, "leases", "kube-node-lease", "", False),
        ("patch", STORAGE, "csinodes", "", "n1", True),
        ("patch", STORAGE, "csinodes", "", "n2", False),
        ("get", STORAGE, "volumeattachments", "", "at", True),
        ("get", STORAGE, "volumeattachments", "", "other", False),
        ("create", "certificates.k8s.io", "certificatesigningrequests", "", "", True),
        ("list", "node.k8s.io", "runtimeclasses", "", "", True),
        ("list", "apps", "deployments", "", "", False),
    ],
)
def test_other_groups(
    authorizer: NodeAuthorizer, verb: str, group: str, what: str, namespace: str, name: str, allowed: bool
) -> None:
    """Its lease, its CSINode, its attachments, and what the role system:node says."""
    attributes = AccessAttributes(NODE, verb, group, "v1", what, "", namespace, name)
    assert authorizer.authorize(attributes).allowed is allowed


def test_lists_of_its_pods(authorizer: NodeAuthorizer) -> None:
    """A watch of the pods on the node is selected by the node's name."""
    for selector, allowed in (("spec.nodeName=n1", True), ("spec.nodeName=n2", False), ("=,=", False)):
        attributes = AccessAttributes(NODE, "watch", "", "v1", "pods", field_selector=selector)
        assert authorizer.authorize(attributes).allowed is allowed


def test_others_are_asked_of_rbac(authorizer: NodeAuthorizer) -> None:
    """A user that only is called like a node, or only is in the group, is no node."""
    for user in (
        User("system:node:n1"),
        User("n1", groups=("system:nodes",)),
        User("system:node:", groups=NODE.groups),
    ):
        assert not authorizer.authorize(AccessAttributes(user, "get", "", "v1", "nodes", name="n1")).allowed
    scheduler = User("system:kube-scheduler")
    assert authorizer.authorize(AccessAttributes(scheduler, "list", "", "v1", "nodes")).allowed
    assert "does not support user rule resolution" in authorizer.rules_for(NODE, "shop").error
    assert authorizer.rules_for(scheduler, "shop").error == ""


OTHERS_SLICES = "can only list/watch/deletecollection resourceslices with nodeName field selector"


@pytest.mark.parametrize(
    ("verb", "name", "selector", "refusal"),
    [
        ("create", "", "", None),
        ("get", "s1", "", None),
        ("delete", "s2", "", UNRELATED),
        ("get", "s3", "", UNRELATED),
        ("list", "", "spec.nodeName=n1", None),
        ("deletecollection", "", "spec.driver=d,spec.nodeName=n1", None),
        ("watch", "", "", OTHERS_SLICES),
        ("list", "", "spec.nodeName=n2", OTHERS_SLICES),
        ("list", "", "spec.nodeName!=n1", OTHERS_SLICES),
        ("list", "", "nonsense", OTHERS_SLICES),
    ],
)
def test_resource_slices(authorizer: NodeAuthorizer, verb: str, name: str, selector: str, refusal: str | None) -> None:
    """Its own, by name or by what the request narrows itself down to."""
    question = AccessAttributes(
        NODE, verb, "resource.k8s.io", "v1", "resourceslices", name=name, field_selector=selector
    )
    decision = authorizer.authorize(question)
    assert (decision.allowed, decision.reason) == (refusal is None, refusal or "")

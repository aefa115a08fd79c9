"""RBAC over a store: who is bound to what, what is remembered and for how long, and the reasons given."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s.api.request import User
from minik8s.apiserver.authorization import AccessAttributes
from minik8s.apiserver.authorization.bootstrap import create_roles, seeds
from minik8s.apiserver.authorization.rbac import RBACAuthorizer
from minik8s.apiserver.codec import DocumentCodec
from minik8s.apiserver.registry import Registry
from minik8s.store import MemoryStore

GROUP = "rbac.authorization.k8s.io"
ALICE = User("alice", groups=("devs", "system:authenticated"))
ROBOT = User("system:serviceaccount:shop:robot", groups=("system:serviceaccounts", "system:authenticated"))


class Policy:
    """A store with an authorizer; methods write roles and bindings at once."""

    def __init__(self) -> None:
        self.store = MemoryStore(DocumentCodec(Registry().indexed, frozen=True))
        self.authorizer = RBACAuthorizer(self.store)

    def role(self, name: str, *rules: Any, namespace: str = "") -> None:
        kind = "roles" if namespace else "clusterroles"
        self._put(kind, namespace, name, {"rules": list(rules)})

    def bind(self, name: str, role: str, *subjects: Any, namespace: str = "") -> None:
        """`role` is `ClusterRole/name`; subjects are `User/alice`, `Group/devs`, `ServiceAccount/ns/name`."""
        kind = "rolebindings" if namespace else "clusterrolebindings"
        role_kind, _, role_name = role.partition("/")
        body = {"roleRef": {"kind": role_kind, "name": role_name}, "subjects": [self._subject(s) for s in subjects]}
        self._put(kind, namespace, name, body)

    def drop(self, kind: str, name: str, namespace: str = "") -> None:
        anyio.run(self.store.delete, (f"{kind}.{GROUP}", namespace, name))

    def may(self, user: User, verb: str, resource: str, namespace: str = "", name: str = "", group: str = "") -> bool:
        return self.ask(user, verb, resource, namespace, name, group).allowed

    def ask(self, user: User, verb: str, resource: str, namespace: str = "", name: str = "", group: str = "") -> Any:
        resource, _, sub = resource.partition("/")
        return self.authorizer.authorize(AccessAttributes(user, verb, group, "v1", resource, sub, namespace, name))

    def _put(self, kind: str, namespace: str, name: str, body: Any) -> None:
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        anyio.run(self.store.put, (f"{kind}.{GROUP}", namespace, name), {"metadata": metadata, **body})

    @staticmethod
    def _subject(text: str) -> Any:
        kind, *rest = text.split("/")
        if kind == "ServiceAccount":
            *namespace, name = rest
            return {"kind": kind, "name": name, **({"namespace": namespace[0]} if namespace else {})}
        return {"kind": kind, "name": rest[0], "apiGroup": GROUP}


READ = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
READ_ONE = {**READ, "resourceNames": ["web"]}


@pytest.fixture
def policy() -> Policy:
    return Policy()


def test_nobody_may_anything(policy: Policy) -> None:
    """Without roles nothing is allowed, and there is no reason to give."""
    decision = policy.ask(ALICE, "get", "pods", "default", "web")
    assert (decision.allowed, decision.reason) == (False, "")


@pytest.mark.parametrize(
    ("subject", "user", "allowed"),
    [
        ("User/alice", ALICE, True),
        ("User/devs", ALICE, False),
        ("Group/devs", ALICE, True),
        ("Group/alice", ALICE, False),
        ("Group/system:authenticated", ROBOT, True),
        ("ServiceAccount/shop/robot", ROBOT, True),
        ("ServiceAccount/other/robot", ROBOT, False),
        ("User/system:serviceaccount:shop:robot", ROBOT, True),
        ("ServiceAccount/robot", ROBOT, False),
    ],
)
def test_subjects(policy: Policy, subject: str, user: User, allowed: bool) -> None:
    """A cluster role binding reaches users, groups and service accounts, everywhere."""
    policy.role("reader", READ)
    policy.bind("b", "ClusterRole/reader", subject)
    assert policy.may(user, "get", "pods", "default", "web") is allowed
    assert policy.may(user, "list", "pods") is allowed
    assert not policy.may(user, "delete", "pods", "default", "web")


def test_role_bindings_hold_in_their_namespace(policy: Policy) -> None:
    """A role binding grants a role, or a cluster role, in its namespace only; accounts are taken from there."""
    policy.role("reader", READ)
    policy.role("writer", {**READ, "verbs": ["delete"]}, namespace="shop")
    policy.bind("r", "ClusterRole/reader", "ServiceAccount/robot", namespace="shop")
    policy.bind("w", "Role/writer", "ServiceAccount/shop/robot", namespace="shop")
    policy.bind("w", "Role/writer", "ServiceAccount/shop/robot", namespace="other")
    assert policy.may(ROBOT, "get", "pods", "shop", "x")
    assert policy.may(ROBOT, "delete", "pods", "shop", "x")
    assert not policy.may(ROBOT, "get", "pods", "other", "x")
    assert not policy.may(ROBOT, "list", "pods")


def test_names(policy: Policy) -> None:
    """A rule about one object allows that one and no list of all."""
    policy.role("one", READ_ONE)
    policy.bind("b", "ClusterRole/one", "User/alice")
    assert policy.may(ALICE, "get", "pods", "default", "web")
    assert not policy.may(ALICE, "get", "pods", "default", "db")
    assert not policy.may(ALICE, "list", "pods", "default")
    assert policy.may(ALICE, "list", "pods", "default", "web")


def test_reasons(policy: Policy) -> None:
    """The binding that allowed it is named; a binding whose role is missing is named in the refusal."""
    policy.role("reader", READ)
    policy.bind("b", "ClusterRole/reader", "Group/devs")
    policy.bind("c", "ClusterRole/reader", "ServiceAccount/robot", namespace="shop")
    policy.bind("d", "ClusterRole/gone", "User/alice")
    policy.bind("e", "Role/lost", "User/alice", namespace="shop")
    allowed = policy.ask(ALICE, "get", "pods", "default", "x")
    assert allowed.reason == 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to Group "devs"'
    allowed = policy.ask(ROBOT, "get", "pods", "shop", "x")
    assert (
        allowed.reason == 'RBAC: allowed by RoleBinding "c/shop" of ClusterRole "reader" to ServiceAccount "robot/shop"'
    )
    assert policy.ask(ALICE, "get", "nodes").reason == f'RBAC: clusterrole.{GROUP} "gone" not found'
    assert policy.ask(ALICE, "get", "secrets", "shop", "x").reason == (
        f'RBAC: [clusterrole.{GROUP} "gone" not found, role.{GROUP} "lost" not found]'
    )


def test_changes_hold_at_once(policy: Policy) -> None:
    """What is remembered of a decision ends with the next change of a role or a binding."""
    assert not policy.may(ALICE, "get", "pods", "default", "x")
    policy.bind("b", "ClusterRole/reader", "User/alice")
    assert not policy.may(ALICE, "get", "pods", "default", "x")
    policy.role("reader", READ)
    assert policy.may(ALICE, "get", "pods", "default", "x")
    policy.role("reader", READ_ONE)
    assert not policy.may(ALICE, "get", "pods", "default", "x")
    policy.role("reader", READ)
    assert policy.may(ALICE, "get", "pods", "default", "x")
    policy.drop("clusterrolebindings", "b")
    assert not policy.may(ALICE, "get", "pods", "default", "x")


def test_memory_is_bounded(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many different questions are asked, only so many answers are kept."""
    monkeypatch.setattr("minik8s.apiserver.authorization.rbac.REMEMBERED", 10)
    for number in range(100):
        policy.may(ALICE, "get", "pods", f"ns{number}", "x")
    assert len(policy.authorizer._answers) <= 10


def test_rules_of_a_user(policy: Policy) -> None:
    """All rules that hold for a user in a namespace, and what could not be found out."""
    policy.role("reader", READ)
    policy.role("one", READ_ONE, namespace="shop")
    policy.bind("b", "ClusterRole/reader", "Group/devs")
    policy.bind("c", "Role/one", "User/alice", namespace="shop")
    policy.bind("d", "Role/gone", "User/alice", namespace="shop")
    found = policy.authorizer.rules_for(ALICE, "shop")
    assert list(found.rules) == [READ, READ_ONE]
    assert found.error == f'role.{GROUP} "gone" not found'
    assert list(policy.authorizer.rules_for(ALICE, "other").rules) == [READ]


async def _bootstrapped(store: MemoryStore) -> None:
    from random import Random

    await create_roles(store, "2026-01-01T00:00:00Z", Random(1))


@pytest.mark.parametrize(
    ("role", "verb", "resource", "group", "allowed"),
    [
        ("view", "get", "pods", "", True),
        ("view", "get", "pods/log", "", True),
        ("view", "get", "secrets", "", False),
        ("view", "create", "pods", "", False),
        ("view", "get", "roles", GROUP, False),
        ("view", "list", "endpointslices", "discovery.k8s.io", True),
        ("edit", "create", "pods", "", True),
        ("edit", "get", "pods/exec", "", True),
        ("edit", "create", "pods/exec", "", True),
        ("edit", "get", "secrets", "", True),
        ("edit", "delete", "deployments", "apps", True),
        ("edit", "patch", "deployments/scale", "apps", True),
        ("edit", "update", "deployments/status", "apps", False),
        ("edit", "impersonate", "serviceaccounts", "", True),
        ("edit", "create", "roles", GROUP, False),
        ("edit", "update", "resourcequotas", "", False),
        ("edit", "update", "endpoints", "", False),
        ("admin", "create", "rolebindings", GROUP, True),
        ("admin", "create", "localsubjectaccessreviews", "authorization.k8s.io", True),
        ("admin", "delete", "pods", "", True),
        ("admin", "get", "nodes", "", False),
        ("admin", "delete", "namespaces", "", False),
        ("cluster-admin", "anything", "things", "any.io", True),
    ],
)
def test_the_roles_people_bind(policy: Policy, role: str, verb: str, resource: str, group: str, allowed: bool) -> None:
    """cluster-admin, admin, edit and view are upstream's."""
    anyio.run(_bootstrapped, policy.store)
    policy.bind("b", f"ClusterRole/{role}", "User/alice", namespace="shop")
    assert policy.may(ALICE, verb, resource, "shop", group=group) is allowed
    assert not policy.may(ALICE, verb, resource, "other", group=group)


@pytest.mark.parametrize(
    ("user", "path", "allowed"),
    [
        (User("a", groups=("system:authenticated",)), "/api", True),
        (User("a", groups=("system:authenticated",)), "/apis/apps/v1", True),
        (User("a", groups=("system:authenticated",)), "/openapi/v3", True),
        (User("a", groups=("system:authenticated",)), "/metrics", False),
        (User("a", groups=("system:authenticated",)), "/.well-known/openid-configuration", False),
        (ROBOT, "/.well-known/openid-configuration", True),
        (ROBOT, "/openid/v1/jwks", True),
        (User("system:anonymous", groups=("system:unauthenticated",)), "/healthz", True),
        (User("system:anonymous", groups=("system:unauthenticated",)), "/version", True),
        (User("system:anonymous", groups=("system:unauthenticated",)), "/healthz/ping", False),
        (User("system:anonymous", groups=("system:unauthenticated",)), "/api", False),
        (User("m", groups=("system:monitoring",)), "/metrics", True),
    ],
)
def test_the_paths_people_see(policy: Policy, user: User, path: str, allowed: bool) -> None:
    """Discovery for the authenticated, health for everybody, keys for service accounts, metrics for monitoring."""
    anyio.run(_bootstrapped, policy.store)
    assert policy.authorizer.authorize(AccessAttributes(user, "get", path=path)).allowed is allowed
    assert not policy.authorizer.authorize(AccessAttributes(user, "post", path=path)).allowed


@pytest.mark.parametrize(
    ("user", "verb", "resource", "group"),
    [
        (User("system:kube-scheduler"), "create", "pods/binding", ""),
        (User("system:kube-controller-manager"), "list", "secrets", ""),
        (User("system:kube-proxy"), "watch", "endpointslices", "discovery.k8s.io"),
        (User("system:serviceaccount:kube-system:deployment-controller"), "create", "replicasets", "apps"),
        (User("system:serviceaccount:kube-system:job-controller"), "patch", "events", "events.k8s.io"),
    ],
)
def test_the_components_roles(policy: Policy, user: User, verb: str, resource: str, group: str) -> None:
    """The control plane's own users may do their work, and no more."""
    anyio.run(_bootstrapped, policy.store)
    assert policy.may(user, verb, resource, "shop", group=group)
    assert not policy.may(user, "delete", "clusterroles", group=GROUP)


def test_clusters_share_the_default_roles() -> None:
    """Rules are read once per process, cannot be changed, and every role that is bound exists."""
    first, second = seeds(), seeds()
    assert first is second
    roles = {(seed.document["kind"], seed.key[1], seed.key[2]) for seed in first}
    assert len(roles) == len(first)
    for seed in first:
        if reference := seed.document.get("roleRef"):
            namespace = seed.key[1] if reference["kind"] == "Role" else ""
            assert (reference["kind"], namespace, reference["name"]) in roles
        else:
            with pytest.raises(TypeError):
                seed.document["rules"].append({})

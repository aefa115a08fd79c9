"""RBAC as callers meet it: requests that are refused and allowed, grants that go too far, and questions about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from minik8s.api.request import User
from minik8s.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from minik8s.machinery.errors import Forbidden

pytestmark = pytest.mark.anyio

RBAC = "/apis/rbac.authorization.k8s.io/v1"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"


async def grant(server: Any, user: str, role: str, namespace: str = "") -> None:
    """Binds a user to a cluster role."""
    subject = {"kind": "User", "name": user, "apiGroup": GROUP}
    body: Any = {
        "metadata": {"name": f"{user}-{role}".replace(":", "-")},
        "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }
    if namespace:
        body["metadata"]["namespace"] = namespace
    await server.client.create(ROLE_BINDINGS if namespace else CLUSTER_ROLE_BINDINGS, body)


def as_user(admin: Any, name: str, *groups: str) -> Sequence[tuple[str, str]]:
    """Headers of the administrator that acts as somebody."""
    return [*admin.items(), ("impersonate-user", name), *(("impersonate-group", group) for group in groups)]


async def call(server: Any, admin: Any, name: str, method: str, path: str, body: Any = None, **options: Any) -> Any:
    """A request as somebody; answers (code, document)."""
    headers = dict(as_user(admin, name))
    response = await server.call(method, path, body, headers=headers, **options)
    return response.status_code, response.json()


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "pods", 200),
        ("GET", "pods?watch=true&timeoutSeconds=1&resourceVersion=1", 403),
        ("GET", "/api/v1/pods", 403),
        ("GET", "secrets", 403),
        ("GET", "pods/x", 404),
        ("GET", "pods/x/log", 404),
        ("DELETE", "pods/x", 403),
        ("DELETE", "pods", 403),
        ("POST", "pods", 403),
        ("PUT", "pods/x", 403),
        ("PATCH", "pods/x", 403),
        ("GET", "/api/v1/namespaces/default", 200),
        ("GET", "/api/v1/namespaces/kube-system", 403),
        ("GET", "/api/v1/namespaces", 403),
        ("GET", "/api", 200),
        ("GET", "/apis/apps/v1", 200),
        ("GET", "/metrics", 403),
        ("GET", "/apis/nope.io/v1/foos", 403),
        ("OPTIONS", "pods", 403),
    ],
)
async def test_a_viewer(ruled: Any, admin: Any, method: str, path: str, code: int) -> None:
    """Who is bound to `view` in a namespace reads what is in it, the namespace included, and nothing else."""
    await grant(ruled, "alice", "view", "default")
    if "watch" in path:
        await ruled.client.delete(ROLE_BINDINGS, "alice-view", namespace="default")
    got, _ = await call(ruled, admin, "alice", method, path)
    assert got == code


async def test_refusals_name_what_is_wrong_with_the_policy(ruled: Any, admin: Any) -> None:
    """The refusal ends with the roles that bindings name and nobody has made."""
    await grant(ruled, "alice", "nothing")
    message = (
        'pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "default": '
        f'RBAC: clusterrole.{GROUP} "nothing" not found'
    )
    await ruled.refused("GET", "pods", 403, "Forbidden", message, headers=dict(as_user(admin, "alice")))


async def test_one_object(ruled: Any, admin: Any) -> None:
    """A rule with resourceNames allows lists and watches that select that name."""
    rule = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"]}
    await ruled.client.create(CLUSTER_ROLES, {"metadata": {"name": "one"}, "rules": [rule]})
    await grant(ruled, "alice", "one")
    for path, code in (
        ("configmaps/a", 404),
        ("configmaps/b", 403),
        ("configmaps", 403),
        ("configmaps?fieldSelector=metadata.name%3Da", 200),
        ("configmaps?fieldSelector=metadata.name!%3Da", 403),
        ("configmaps?fieldSelector=metadata.name", 403),
    ):
        assert (await call(ruled, admin, "alice", "GET", path))[0] == code, path


async def test_an_update_that_creates_needs_create(ruled: Any, admin: Any) -> None:
    """PUT and apply of what does not exist are creations to the authorizer, too."""
    rule = {"verbs": ["update", "patch"], "apiGroups": ["*"], "resources": ["*"]}
    await ruled.client.create(CLUSTER_ROLES, {"metadata": {"name": "changer"}, "rules": [rule]})
    await grant(ruled, "alice", "changer")
    role = {"metadata": {"name": "r", "namespace": "default"}, "rules": []}
    code, status = await call(ruled, admin, "alice", "PUT", f"{RBAC}/namespaces/default/roles/r", role)
    assert (code, "cannot create resource" in status["message"]) == (403, True)
    code, status = await call(
        ruled,
        admin,
        "alice",
        "PATCH",
        "configmaps/c?fieldManager=m",
        {"apiVersion": "v1", "kind": "ConfigMap"},
        type="application/apply-patch+yaml",
    )
    assert (code, "cannot create resource" in status["message"]) == (403, True)


async def test_a_websocket_needs_create(ruled: Any, admin: Any) -> None:
    """exec by GET, as WebSockets begin, takes the right to create as well, for it does the same."""
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods/exec", "pods/attach", "pods/portforward"]}
    await ruled.client.create(CLUSTER_ROLES, {"metadata": {"name": "getter"}, "rules": [rule]})
    await grant(ruled, "alice", "getter")
    for subresource in ("exec", "attach", "portforward"):
        code, status = await call(ruled, admin, "alice", "GET", f"pods/p/{subresource}")
        assert (code, f'cannot create resource "pods/{subresource}"' in status["message"]) == (403, True)


POD_READER = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
NODE_READER = [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["nodes"]}]


async def test_nobody_grants_what_he_does_not_have(ruled: Any, admin: Any) -> None:
    """A namespace's administrator makes roles of what he has; for more he is refused in upstream's words."""
    await grant(ruled, "alice", "admin", "default")
    path = f"{RBAC}/namespaces/default/roles"
    code, _ = await call(ruled, admin, "alice", "POST", path, {"metadata": {"name": "ok"}, "rules": POD_READER})
    assert code == 201
    wanted = {"metadata": {"name": "more"}, "rules": POD_READER + NODE_READER}
    message = (
        f'roles.{GROUP} "more" is forbidden: user "alice" (groups=["system:authenticated"]) is attempting to grant '
        'RBAC permissions not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["get" "list"]}'
    )
    headers = dict(as_user(admin, "alice"))
    await ruled.refused("POST", path, 403, "Forbidden", message, wanted, headers=headers)
    patch = {"rules": NODE_READER}
    code, _ = await call(ruled, admin, "alice", "PATCH", f"{path}/ok", patch, type="application/merge-patch+json")
    assert code == 403


async def test_who_may_escalate(ruled: Any, admin: Any) -> None:
    """The verb `escalate` on a role allows any rules in it."""
    await grant(ruled, "alice", "admin", "default")
    rule = {"verbs": ["escalate"], "apiGroups": [GROUP], "resources": ["roles"]}
    await ruled.client.create(CLUSTER_ROLES, {"metadata": {"name": "escalator"}, "rules": [rule]})
    await grant(ruled, "alice", "escalator", "default")
    body = {"metadata": {"name": "more"}, "rules": NODE_READER}
    assert (await call(ruled, admin, "alice", "POST", f"{RBAC}/namespaces/default/roles", body))[0] == 201


async def test_bindings_grant_no_more_either(ruled: Any, admin: Any) -> None:
    """Binding a role needs its rules or the verb `bind`; a role that does not exist is not found."""
    await grant(ruled, "alice", "admin", "default")
    path = f"{RBAC}/namespaces/default/rolebindings"

    def binding(role: str) -> Any:
        subjects = [{"kind": "User", "name": "bob", "apiGroup": GROUP}]
        return {"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects}

    code, status = await call(ruled, admin, "alice", "POST", path, binding("cluster-admin"))
    assert (code, status["reason"]) == (403, "Forbidden")
    assert status["message"].endswith(
        'not currently held:\n{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}'
    )
    code, status = await call(ruled, admin, "alice", "POST", path, binding("nope"))
    assert (code, status["message"]) == (404, f'clusterrole.{GROUP} "nope" not found')
    rule = {"verbs": ["bind"], "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["system:node"]}
    await ruled.client.create(CLUSTER_ROLES, {"metadata": {"name": "binder"}, "rules": [rule]})
    await grant(ruled, "alice", "binder", "default")
    assert (await call(ruled, admin, "alice", "POST", path, binding("system:node")))[0] == 201
    assert (await call(ruled, admin, "alice", "POST", path, {**binding("view"), "metadata": {"name": "v"}}))[0] == 201


async def test_aggregating_takes_an_administrator(ruled: Any, admin: Any) -> None:
    """An aggregationRule may gather anything, so that only full authority may set one."""
    rule = {"verbs": ["*"], "apiGroups": [GROUP], "resources": ["clusterroles"]}
    await ruled.client.create(CLUSTER_ROLES, {"metadata": {"name": "roles"}, "rules": [{**rule, "verbs": ["create"]}]})
    await grant(ruled, "alice", "roles")
    selector = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    body = {"metadata": {"name": "sum"}, "aggregationRule": selector, "rules": []}
    code, status = await call(ruled, admin, "alice", "POST", f"{RBAC}/clusterroles", body)
    assert code == 403
    assert status["message"].endswith("must have cluster-admin privileges to use the aggregationRule")
    await grant(ruled, "root", "cluster-admin")
    assert (await call(ruled, admin, "root", "POST", f"{RBAC}/clusterroles", body))[0] == 201


async def test_letting_go_of_a_role_is_no_grant(ruled: Any, admin: Any) -> None:
    """Who only takes finalizers or owners away, as the garbage collector does, needs not hold the rules."""
    rule = {"verbs": ["patch"], "apiGroups": [GROUP], "resources": ["roles"]}
    await ruled.client.create(CLUSTER_ROLES, {"metadata": {"name": "patcher"}, "rules": [rule]})
    await grant(ruled, "alice", "patcher")
    meta = {"name": "r", "namespace": "default", "finalizers": ["acme.com/x"]}
    await ruled.client.create(ROLES, {"metadata": meta, "rules": NODE_READER})
    path, merge = f"{RBAC}/namespaces/default/roles/r", "application/merge-patch+json"
    assert (await call(ruled, admin, "alice", "PATCH", path, {"metadata": {"labels": {"a": "b"}}}, type=merge))[
        0
    ] == 403
    assert (await call(ruled, admin, "alice", "PATCH", path, {"metadata": {"finalizers": None}}, type=merge))[0] == 200


@pytest.mark.parametrize(
    ("rules", "headers", "refused"),
    [
        (
            [],
            [("impersonate-user", "bob")],
            'users "bob" is forbidden: User "alice" cannot impersonate resource "users"',
        ),
        (["users=bob"], [("impersonate-user", "bob")], ""),
        (["users=carol"], [("impersonate-user", "bob")], 'users "bob"'),
        (["users"], [("impersonate-user", "bob"), ("impersonate-group", "ops")], 'groups "ops"'),
        (["users", "groups=ops"], [("impersonate-user", "bob"), ("impersonate-group", "ops")], ""),
        (["users"], [("impersonate-user", "bob"), ("impersonate-uid", "7")], 'uids.authentication.k8s.io "7"'),
        (["users", "uids"], [("impersonate-user", "bob"), ("impersonate-uid", "7")], ""),
        (
            ["users", "userextras/team"],
            [("impersonate-user", "bob"), ("impersonate-extra-scope", "x")],
            'userextras.authentication.k8s.io "x" is forbidden: User "alice" cannot impersonate resource '
            '"userextras/scope" in API group "authentication.k8s.io" at the cluster scope',
        ),
        (["users", "userextras/scope=x"], [("impersonate-user", "bob"), ("impersonate-extra-scope", "x")], ""),
        (
            ["users"],
            [("impersonate-user", "system:serviceaccount:shop:robot")],
            'serviceaccounts "robot" is forbidden: User "alice" cannot impersonate resource "serviceaccounts" '
            'in API group "" in the namespace "shop"',
        ),
        (["serviceaccounts"], [("impersonate-user", "system:serviceaccount:shop:robot")], ""),
    ],
)
async def test_impersonation_is_authorized_piece_by_piece(ruled: Any, rules: Any, headers: Any, refused: str) -> None:
    """The user, every group, the uid and every extra value."""
    policy = []
    for text in rules:
        resource, _, name = text.partition("=")
        groups = ["", "authentication.k8s.io"]
        rule = {"verbs": ["impersonate"], "apiGroups": groups, "resources": [resource]}
        policy.append({**rule, **({"resourceNames": [name]} if name else {})})
    await ruled.client.create(CLUSTER_ROLES, {"metadata": {"name": "actor"}, "rules": policy})
    await grant(ruled, "alice", "actor")
    ruled.ctx.tokens.static["alices"] = User("alice", groups=("system:authenticated",))
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    pairs = [("authorization", "Bearer alices"), *headers]
    response = await ruled.http.post(path, headers=pairs, content=b"{}")
    if refused:
        assert response.status_code == 403
        assert response.json()["message"].startswith(refused)
    else:
        assert response.status_code == 201, response.text
        assert response.json()["status"]["userInfo"]["username"] == headers[0][1]


async def test_reviews_answer_what_requests_would_get(ruled: Any, admin: Any) -> None:
    """SubjectAccessReview, its local and its own form, with the reason."""
    await grant(ruled, "alice", "view", "default")
    attributes = {"verb": "list", "resource": "pods", "namespace": "default"}
    spec = {"user": "alice", "resourceAttributes": attributes}
    status = (await ruled.ok("POST", f"{AUTHORIZATION}/subjectaccessreviews", {"spec": spec}, headers=admin))["status"]
    reason = 'RBAC: allowed by RoleBinding "alice-view/default" of ClusterRole "view" to User "alice"'
    assert status == {"allowed": True, "reason": reason}
    local = f"{AUTHORIZATION}/namespaces/default/localsubjectaccessreviews"
    assert (await ruled.ok("POST", local, {"spec": spec}, headers=admin))["status"]["allowed"]
    other = {**spec, "resourceAttributes": {**attributes, "namespace": "kube-system"}}
    assert (await ruled.call("POST", local, {"spec": other}, headers=admin)).status_code == 422
    mine = {"spec": {"resourceAttributes": {**attributes, "verb": "delete"}}}
    code, review = await call(ruled, admin, "alice", "POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", mine)
    assert (code, review["status"]) == (201, {"allowed": False})
    code, _ = await call(ruled, admin, "alice", "POST", f"{AUTHORIZATION}/subjectaccessreviews", {"spec": spec})
    assert code == 403, "who asks about others needs a role for it"


@pytest.mark.parametrize("body", [{}, {"spec": {}}, {"spec": {"resourceAttributes": None, "user": "x"}}])
async def test_reviews_without_a_question(ruled: Any, admin: Any, body: Any) -> None:
    """They are invalid, in all forms, and never an error of the server."""
    for path in ("selfsubjectaccessreviews", "subjectaccessreviews", "namespaces/default/localsubjectaccessreviews"):
        assert (await ruled.call("POST", f"{AUTHORIZATION}/{path}", body, headers=admin)).status_code == 422
    assert (
        await ruled.call("POST", f"{AUTHORIZATION}/selfsubjectrulesreviews", body, headers=admin)
    ).status_code == 400


async def test_rules_reviews(ruled: Any, admin: Any) -> None:
    """The rules that hold in a namespace, resources and paths apart, and what could not be found out."""
    await grant(ruled, "alice", "nothing", "default")
    await grant(ruled, "alice", "system:monitoring")
    body = {"spec": {"namespace": "default"}}
    code, review = await call(ruled, admin, "alice", "POST", f"{AUTHORIZATION}/selfsubjectrulesreviews", body)
    assert code == 201
    status = review["status"]
    assert {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]} in status[
        "resourceRules"
    ]
    assert any("/metrics" in rule["nonResourceURLs"] for rule in status["nonResourceRules"])
    assert (status["incomplete"], status["evaluationError"]) == (
        True,
        f'clusterrole.{GROUP} "nothing" not found',
    )


async def test_the_default_roles_are_objects_like_others(ruled: Any, admin: Any) -> None:
    """They are listed, with upstream's labels, and can be edited and deleted."""
    roles = (await ruled.ok("GET", f"{RBAC}/clusterroles", headers=admin))["items"]
    names = {role["metadata"]["name"] for role in roles}
    assert {"admin", "cluster-admin", "edit", "view", "system:node", "system:controller:job-controller"} <= names
    edit = next(role for role in roles if role["metadata"]["name"] == "edit")
    assert edit["metadata"]["labels"] == {
        "kubernetes.io/bootstrapping": "rbac-defaults",
        "rbac.authorization.k8s.io/aggregate-to-admin": "true",
    }
    assert edit["metadata"]["uid"]
    assert len({role["metadata"]["uid"] for role in roles}) == len(roles)
    patched = await ruled.ok(
        "PATCH",
        f"{RBAC}/clusterroles/view",
        {"metadata": {"labels": {"mine": "yes"}}},
        type="application/merge-patch+json",
        headers=admin,
    )
    assert patched["metadata"]["labels"]["mine"] == "yes"
    await ruled.ok("DELETE", f"{RBAC}/clusterrolebindings/cluster-admin", headers=admin)


async def test_in_process_calls_take_the_same_road(ruled: Any) -> None:
    """A client that is not the administrator's is asked the same questions."""
    alice = User("alice", groups=("system:authenticated",))
    client = type(ruled.client)(ruled.client._transport, user=alice)
    with pytest.raises(Forbidden, match='User "alice" cannot list resource "clusterroles"'):
        await client.list(CLUSTER_ROLES)
    await grant(ruled, "alice", "cluster-admin")
    assert (await client.list(CLUSTER_ROLES)).items

"""Who is let in: tokens, nobody, and administrators that act as somebody else."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
NOBODY = 'User "system:anonymous" cannot '


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        (
            "GET",
            "/api/v1/pods",
            f'pods is forbidden: {NOBODY}list resource "pods" in API group "" at the cluster scope',
        ),
        (
            "GET",
            "/api/v1/namespaces/default/pods/x",
            f'pods "x" is forbidden: {NOBODY}get resource "pods" in API group "" in the namespace "default"',
        ),
        (
            "GET",
            "/api/v1/namespaces/default/pods?watch=true",
            f'pods is forbidden: {NOBODY}watch resource "pods" in API group "" in the namespace "default"',
        ),
        (
            "POST",
            "/apis/apps/v1/namespaces/a/deployments",
            f'deployments.apps is forbidden: {NOBODY}create resource "deployments" in API group "apps" '
            'in the namespace "a"',
        ),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/a/deployments",
            f'deployments.apps is forbidden: {NOBODY}deletecollection resource "deployments" in API group "apps" '
            'in the namespace "a"',
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/a/deployments/w/scale",
            f'deployments.apps "w" is forbidden: {NOBODY}patch resource "deployments/scale" in API group "apps" '
            'in the namespace "a"',
        ),
        (
            "GET",
            "/api/v1/namespaces/n1",
            f'namespaces "n1" is forbidden: {NOBODY}get resource "namespaces" in API group "" in the namespace "n1"',
        ),
        (
            "GET",
            "/apis/nope.io/v1/foos",
            f'foos.nope.io is forbidden: {NOBODY}list resource "foos" in API group "nope.io" at the cluster scope',
        ),
        ("GET", "/foo", f'forbidden: {NOBODY}get path "/foo"'),
        ("POST", "/foo", f'forbidden: {NOBODY}post path "/foo"'),
        ("GET", "/api", f'forbidden: {NOBODY}get path "/api"'),
        ("GET", "/openapi/v3", f'forbidden: {NOBODY}get path "/openapi/v3"'),
    ],
)
async def test_the_anonymous(guarded: Any, method: str, path: str, message: str) -> None:
    """403 before anybody looks whether there is such a thing."""
    await guarded.refused(method, path, 403, "Forbidden", message)


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version", "/version/"])
async def test_what_everybody_may_see(guarded: Any, path: str) -> None:
    """Health and version."""
    assert (await guarded.call("GET", path)).status_code == 200


@pytest.mark.parametrize(
    "value", ["Bearer nope", "bearer a.b.c", "Bearer é", "Bearer eyJhbGciOiJub25lIn0.e30.", "BEARER x y"]
)
async def test_tokens_that_are_not_ours(guarded: Any, value: str) -> None:
    """401, whatever was asked for, on paths that are open, too."""
    for path in ("/api/v1/pods", "/nope", "/healthz"):
        headers = {"authorization": value.encode()}
        await guarded.refused("GET", path, 401, "Unauthorized", "Unauthorized", headers=headers)


@pytest.mark.parametrize("value", ["Basic dTpw", "Bearer", "Bearer ", "", "nonsense"])
async def test_credentials_that_are_no_tokens(guarded: Any, value: str) -> None:
    """Nobody reads them: the caller is anonymous."""
    assert (await guarded.call("GET", "/api/v1/pods", headers={"authorization": value})).status_code == 403


async def test_the_administrator(guarded: Any, admin: Any) -> None:
    """Everything, by token."""
    assert (await guarded.call("GET", "/api/v1/pods", headers=admin)).status_code == 200
    me = (await guarded.ok("POST", WHOAMI, {}, headers=admin))["status"]["userInfo"]
    assert me == {"username": "system:admin", "groups": ["system:masters", "system:authenticated"]}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Impersonate-User": "alice"}, {"username": "alice", "groups": ["system:authenticated"]}),
        (
            [("Impersonate-User", "alice"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")],
            {"username": "alice", "groups": ["a", "b", "system:authenticated"]},
        ),
        (
            [
                ("Impersonate-User", "alice"),
                ("Impersonate-Uid", "7"),
                ("Impersonate-Extra-Acme.com%2FProject", "x"),
                ("Impersonate-Extra-Acme.com%2FProject", "y"),
            ],
            {
                "username": "alice",
                "uid": "7",
                "groups": ["system:authenticated"],
                "extra": {"acme.com/project": ["x", "y"]},
            },
        ),
        (
            {"Impersonate-User": "system:serviceaccount:ns:sa"},
            {
                "username": "system:serviceaccount:ns:sa",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"],
            },
        ),
    ],
)
async def test_impersonation(guarded: Any, admin: Any, headers: Any, expected: Any) -> None:
    """What `kubectl --as` sends, and who the server then sees."""
    pairs = [*admin.items(), *(headers.items() if isinstance(headers, dict) else headers)]
    response = await guarded.http.post(WHOAMI, headers=pairs, content=b"{}")
    assert response.status_code == 201
    assert response.json()["status"]["userInfo"] == expected


async def test_impersonation_has_consequences(guarded: Any, admin: Any) -> None:
    """As nobody one may do what nobody may; and nobody may be somebody else."""
    as_nobody = {**admin, "impersonate-user": "system:anonymous"}
    assert (await guarded.call("GET", "/api/v1/pods", headers=as_nobody)).status_code == 403
    message = 'users "alice" is forbidden: User "system:anonymous" cannot impersonate resource "users" in API group "" '
    message += "at the cluster scope"
    await guarded.refused("GET", "/api/v1/pods", 403, "Forbidden", message, headers={"impersonate-user": "alice"})
    response = await guarded.call("GET", "/api/v1/pods", headers={**admin, "impersonate-group": "a"})
    assert response.status_code == 400


async def test_plain_servers_impersonate_too(server: Any) -> None:
    """Without TLS clients send no token, and --as works all the same."""
    me = (await server.ok("POST", WHOAMI, {}, headers={"impersonate-user": "alice"}))["status"]["userInfo"]
    assert me["username"] == "alice"

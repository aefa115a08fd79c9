"""Credentials, impersonation and policies as nobody would write them: refused or obeyed, never a bug of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minik8s.api.request import User

SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
ACCOUNT = {"metadata": {"name": "default", "namespace": "default", "uid": "u"}}
RBAC = "/apis/rbac.authorization.k8s.io/v1"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
WORD = st.one_of(
    st.sampled_from(["", "alice", "system:masters", "system:anonymous", "system:serviceaccount:a:b", "*", "é", "a/b"]),
    st.text(max_size=8),
)
RAW = st.binary(max_size=30).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
HEADERS = st.lists(
    st.one_of(
        st.tuples(st.just("authorization"), RAW.map(lambda raw: b"Bearer " + raw) | RAW),
        st.tuples(st.just("authorization"), st.sampled_from([b"Bearer alices", b"Bearer admins"])),
        st.tuples(st.just("sec-websocket-protocol"), RAW.map(lambda r: b"base64url.bearer.authorization.k8s.io." + r)),
        st.tuples(st.sampled_from(["impersonate-user", "impersonate-group", "impersonate-uid"]), RAW),
        st.tuples(st.sampled_from(["impersonate-extra-a", "impersonate-extra-%zz", "impersonate-extra-"]), RAW),
    ),
    max_size=5,
)
WORDS = st.lists(WORD, max_size=3)
RULES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "verbs": WORDS,
            "apiGroups": WORDS,
            "resources": WORDS,
            "resourceNames": WORDS,
            "nonResourceURLs": WORDS,
        },
    ),
    max_size=2,
)
SUBJECTS = st.lists(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["User", "Group", "ServiceAccount", "Robot", ""])},
        optional={"name": WORD, "namespace": WORD, "apiGroup": WORD},
    ),
    max_size=2,
)
POLICIES = st.tuples(
    st.sampled_from(
        ["clusterroles", "clusterrolebindings", "namespaces/default/roles", "namespaces/default/rolebindings"]
    ),
    st.fixed_dictionaries(
        {"metadata": st.fixed_dictionaries({"name": st.sampled_from(["a", "b", "view"])})},
        optional={
            "rules": RULES,
            "subjects": SUBJECTS,
            "roleRef": st.fixed_dictionaries(
                {
                    "kind": st.sampled_from(["Role", "ClusterRole", ""]),
                    "name": st.sampled_from(["a", "view", "gone", ""]),
                }
            ),
            "aggregationRule": st.just({"clusterRoleSelectors": [{"matchLabels": {"é": "/"}}]}),
        },
    ),
)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("namespace", "verb", "group", "version", "resource", "subresource", "name"), WORD),
)


def on_a_server(start: Callable[..., Any], body: Callable[[Any], Any]) -> None:
    """Runs `body(server)` with a fresh server that asks for credentials and has RBAC."""

    async def main() -> None:
        async with start(anonymous=True, rbac=True) as server:
            server.ctx.tokens.static["alices"] = User("alice", groups=("system:authenticated",))
            server.ctx.tokens.add_admin("admins")
            await body(server)

    anyio.run(main)


@SETTINGS
@given(st.lists(HEADERS, min_size=1, max_size=8))
def test_headers(start: Callable[..., Any], requests: Any) -> None:
    """Whoever somebody claims to be is let in, refused or told that it makes no sense."""

    async def body(server: Any) -> None:
        for headers in requests:
            for path in ("/api/v1/namespaces/default/pods", "/healthz", "/nope"):
                response = await server.http.get(path, headers=headers)
                assert response.status_code in (200, 400, 401, 403, 404), response.text

    on_a_server(start, body)


@SETTINGS
@given(st.lists(POLICIES, min_size=1, max_size=6), ATTRIBUTES, WORD, WORDS)
def test_policies(start: Callable[..., Any], policies: Any, attributes: Any, name: str, groups: Any) -> None:
    """Whatever roles and bindings are accepted, questions about them have answers."""

    async def body(server: Any) -> None:
        admin = {"authorization": "Bearer admins"}
        for kind, policy in policies:
            for token in ("admins", "alices"):
                headers = {"authorization": f"Bearer {token}"}
                response = await server.call("POST", f"{RBAC}/{kind}", json.dumps(policy).encode(), headers=headers)
                assert response.status_code < 500
        spec = {"user": name, "groups": groups, "resourceAttributes": attributes}
        for plural in ("subjectaccessreviews", "selfsubjectaccessreviews"):
            given = spec if plural.startswith("subject") else {"resourceAttributes": attributes}
            response = await server.call("POST", f"{AUTHORIZATION}/{plural}", {"spec": given}, headers=admin)
            assert response.status_code in (201, 422)
        review = {"spec": {"namespace": "default"}}
        response = await server.call(
            "POST", f"{AUTHORIZATION}/selfsubjectrulesreviews", review, headers={"authorization": "Bearer alices"}
        )
        assert response.status_code == 201

    on_a_server(start, body)


@pytest.mark.anyio
@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS512", "", 5, None, []])
async def test_tokens_of_other_algorithms(ruled: Any, alg: Any) -> None:
    """A token that names another algorithm than ours is nobody's, whatever its signature."""
    import base64
    from datetime import UTC, datetime

    now = datetime(2026, 1, 1, tzinfo=UTC)
    issuer = ruled.ctx.tokens
    good = issuer.issue(ACCOUNT, audiences=[issuer.issuer], seconds=600, now=now, jti="j", bound={})
    _, body, signature = good.split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": alg}).encode()).decode().rstrip("=")
    for token in (f"{head}.{body}.{signature}", f"{head}.{body}."):
        headers = {"authorization": f"Bearer {token}"}
        await ruled.refused("GET", "/healthz", 401, "Unauthorized", "Unauthorized", headers=headers)

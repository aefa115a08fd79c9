"""Bearer tokens."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.api.request import ADMIN
from minik8s.apiserver.tokens import TokenIssuer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNT = {"metadata": {"name": "robot", "namespace": "factory", "uid": "u-1"}}


@pytest.fixture(scope="module")
def issuer() -> TokenIssuer:
    return TokenIssuer()


def issue(issuer: TokenIssuer, **options: Any) -> str:
    bound = {"pod": {"name": "p", "uid": "u-2"}}
    given = {"audiences": ["api"], "seconds": 600, "now": NOW, "jti": "j", "bound": bound, **options}
    return issuer.issue(ACCOUNT, **given)


def part(token: str, index: int) -> Any:
    text = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_claims(issuer: TokenIssuer) -> None:
    """The claims are those of kube-apiserver, the header names the key that the key set publishes."""
    token = issue(issuer)
    claims = part(token, 1)
    assert claims["sub"] == "system:serviceaccount:factory:robot"
    assert (claims["aud"], claims["jti"], claims["iss"]) == (["api"], "j", issuer.issuer)
    assert (claims["exp"] - claims["iat"], claims["nbf"]) == (600, claims["iat"])
    assert claims["kubernetes.io"] == {
        "namespace": "factory",
        "serviceaccount": {"name": "robot", "uid": "u-1"},
        "pod": {"name": "p", "uid": "u-2"},
    }
    (key,) = issuer.jwks()["keys"]
    assert part(token, 0)["kid"] == key["kid"]
    assert "d" not in key, "the private part stays here"


def test_its_bearer_is_the_account(issuer: TokenIssuer) -> None:
    """A token's bearer has the account's name, uid and groups, until it expires."""
    token = issue(issuer)
    user = issuer.authenticate(token, NOW + timedelta(seconds=599))
    assert user is not None
    assert (user.name, user.uid) == ("system:serviceaccount:factory:robot", "u-1")
    assert set(user.groups) == {
        "system:serviceaccounts",
        "system:serviceaccounts:factory",
        "system:authenticated",
    }
    assert issuer.authenticate(token, NOW + timedelta(seconds=600)) is None


def test_what_is_no_token_of_ours(issuer: TokenIssuer) -> None:
    """Another cluster's token, a changed one, an unsigned one and any other text are nobody's."""
    token = issue(issuer)
    head, body, signature = token.split(".")
    forged = base64.urlsafe_b64encode(json.dumps({**part(token, 1), "sub": "root"}).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    others = (issue(TokenIssuer()), f"{head}.{forged}.{signature}", f"{none}.{body}.", "a.b.c", "", "..", "x" * 10_000)
    for wrong in others:
        assert issuer.authenticate(wrong, NOW) is None, wrong[:40]


def test_the_administrators_token() -> None:
    """A token that was declared is the administrator's; recognising others costs no key."""
    issuer = TokenIssuer()
    issuer.add_admin("secret")
    assert issuer.authenticate("secret", NOW) == ADMIN
    assert issuer.authenticate("secre", NOW) is None
    assert issuer._key is None

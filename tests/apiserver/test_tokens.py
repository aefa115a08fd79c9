"""Bearer tokens."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_they_are_known_again(issuer: TokenIssuer) -> None:
    """The claims of a token are read once its signature has been verified; other kinds of ours are known, too."""
    token = issue(issuer)
    assert issuer.verify(token) == part(token, 1)
    assert issuer.verify(token) is issuer.verify(token), "a signature is verified once"
    legacy = issuer.issue_legacy(ACCOUNT, {"metadata": {"name": "s"}})
    claims = issuer.verify(legacy)
    assert claims is not None
    assert claims == {
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:factory:robot",
        "kubernetes.io/serviceaccount/namespace": "factory",
        "kubernetes.io/serviceaccount/secret.name": "s",
        "kubernetes.io/serviceaccount/service-account.name": "robot",
        "kubernetes.io/serviceaccount/service-account.uid": "u-1",
    }


def test_what_is_no_token_of_ours(issuer: TokenIssuer) -> None:
    """Another cluster's token, a changed one, an unsigned one, one signed with the public key, and any other text."""
    token = issue(issuer)
    head, body, signature = token.split(".")
    forged = encoded({**part(token, 1), "sub": "root"})
    none = encoded({"alg": "none"})
    public = json.dumps(issuer.jwks()).encode()
    hs256 = f"{encoded({'alg': 'HS256'})}.{body}"
    mac = base64.urlsafe_b64encode(hmac.digest(public, hs256.encode(), "sha256")).decode().rstrip("=")
    others = [
        issue(TokenIssuer()),
        f"{head}.{forged}.{signature}",
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{hs256}.{mac}",
        f"{encoded([])}.{body}.{signature}",
        f"{encoded({'alg': 5})}.{body}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.%%%",
        "a.b.c",
        "",
        "..",
        "é.é.é",
        "x" * 10_000,
        "." * 100_000,
    ]
    for wrong in others:
        assert issuer.verify(wrong) is None, wrong[:40]


@given(st.text(max_size=40), st.integers(0, 2))
def test_garbage(text: str, place: int) -> None:
    """Whatever stands in a token's parts, it is no error but no token."""
    parts = GOOD.split(".")
    parts[place] = text
    assert ISSUER.verify(".".join(parts)) is None or ".".join(parts) == GOOD


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_recognising_others_costs_no_key() -> None:
    """A server that has issued no token makes no key to look at one."""
    issuer = TokenIssuer()
    issuer.add_admin("secret")
    assert issuer.static["secret"] == ADMIN
    assert issuer.verify("a.b.c") is None
    assert issuer._key is None


ISSUER = TokenIssuer()
GOOD = issue(ISSUER)

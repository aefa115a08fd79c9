"""Bootstrap tokens: they sign what new nodes may trust, and go when their time is over."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.api.resources import SECRETS
from minik8s.controllers import bootstrap_tokens as tokens
from minik8s.controllers.bootstrapsigner import BootstrapSigner
from minik8s.controllers.tokencleaner import TokenCleaner

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def secret(id: str = "abcdef", name: str = "", **fields: str) -> Any:
    given = {"token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true"} | fields
    data = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in given.items()}
    metadata = {"name": name or f"bootstrap-token-{id}", "namespace": "kube-system"}
    return {"metadata": metadata, "type": tokens.SECRET_TYPE, "data": data}


@pytest.mark.parametrize(
    ("given", "signs"),
    [
        (secret(), True),
        (secret(expiration="2026-01-01T00:00:01Z"), True),
        (secret(expiration="2025-12-31T23:59:59Z"), False),
        (secret(expiration="soon"), False),
        (secret(name="bootstrap-token-other0"), False),
        (secret(id="ABCDEF"), False),
        (secret(**{"usage-bootstrap-signing": "yes"}), False),
        (secret(**{"token-secret": "short"}), False),
    ],
)
def test_who_signs(given: Any, signs: bool) -> None:
    """A token that is well-formed, not over, and meant for it."""
    assert (tokens.signing_key(given, NOW) is not None) == signs


def test_signatures() -> None:
    """One for each token, verifiable with its secret; those of tokens that are gone go; the rest is kept."""
    info = {"metadata": {}, "data": {"kubeconfig": "content", "jws-kubeconfig-gone00": "x", "other": "y"}}
    signed = tokens.signed(info, [secret()], NOW)
    assert signed is not None
    assert set(signed["data"]) == {"kubeconfig", "other", "jws-kubeconfig-abcdef"}
    header, nothing, signature = signed["data"]["jws-kubeconfig-abcdef"].split(".")
    assert nothing == ""
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "HS256", "kid": "abcdef"}
    payload = base64.urlsafe_b64encode(b"content").rstrip(b"=").decode()
    expected = hmac.new(b"0123456789abcdef", f"{header}.{payload}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "=") == expected
    assert tokens.signed(signed, [secret()], NOW) is None
    assert tokens.signed({"metadata": {}, "data": {}}, [secret()], NOW) is None


def test_a_life(virtual: Any, start: Any) -> None:
    """cluster-info is signed with the token for as long as that lives, and no longer."""

    async def body(clock: Any) -> None:
        async with start(clock, BootstrapSigner, TokenCleaner) as world:
            end = (clock.now().replace(microsecond=0)).timestamp() + 600
            given = secret(expiration=datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
            await world.client.create(SECRETS, given)
            await world.add("configmaps", "cluster-info", "kube-public", data={"kubeconfig": "content"})

            async def is_signed() -> bool:
                info = await world.get("configmaps", "cluster-info", "kube-public")
                return "jws-kubeconfig-abcdef" in info["data"]

            await world.until(is_signed, 60)
            await world.quiet(500)
            assert await world.get("secrets", "bootstrap-token-abcdef", "kube-system") is not None
            await world.until_gone("secrets", "bootstrap-token-abcdef", "kube-system")
            await world.quiet()
            assert not await is_signed()

    virtual(body)

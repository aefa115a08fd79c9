"""test-service-account-issuer-discovery: whether a token is good by what the API server publishes of its issuer."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import urllib.request
from typing import Any

from minik8s.testing.agnhost.flags import inside, log, parse

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
"""The DER of a DigestInfo before its digest (RFC 8017, 9.2)."""


def discovery(arguments: list[str]) -> int:
    """0 when the issuer's document and keys can be had, and the token is signed by one and meant for the audience."""
    flags = parse(arguments, {"token-path": "", "audience": ""})
    with open(inside(flags["token-path"])) as file:
        token = file.read()
    log("OK: Got token")
    header, claims = (json.loads(_bytes(part)) for part in token.split(".")[:2])
    log(f"OK: got issuer {claims['iss']}")
    document = _get(claims["iss"] + "/.well-known/openid-configuration")
    if document["issuer"] != claims["iss"]:
        log(f"oidc: issuer did not match, expected {claims['iss']} got {document['issuer']}")
        return 1
    log(f"OK: Constructed OIDC provider for issuer {claims['iss']}")
    keys = {key["kid"]: key for key in _get(document["jwks_uri"])["keys"]}
    if header["alg"] != "RS256" or header["kid"] not in keys or not is_signed(token, keys[header["kid"]]):
        log("failed to verify signature")
        return 1
    log("OK: Validated signature on JWT")
    if flags["audience"] not in claims["aud"]:
        log(f"oidc: expected audience {flags['audience']} got {claims['aud']}")
        return 1
    log("OK: Got valid claims from token!")
    return 0


def is_signed(token: str, key: dict[str, str]) -> bool:
    """RS256 (RFC 7518, 3.3): the signature is that of the rest of the token, by the RSA key."""
    signed, _, signature = token.rpartition(".")
    modulus, exponent = (int.from_bytes(_bytes(key[part])) for part in ("n", "e"))
    size = (modulus.bit_length() + 7) // 8
    digest = _SHA256 + hashlib.sha256(signed.encode()).digest()
    expected = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
    return pow(int.from_bytes(_bytes(signature)), exponent, modulus).to_bytes(size) == expected


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _get(url: str) -> Any:
    """As the pod's own account, trusting the cluster's authority alone."""
    with open(inside(f"{ACCOUNT}/token")) as file:
        headers = {"Authorization": f"Bearer {file.read()}"}
    context = ssl.create_default_context(cafile=inside(f"{ACCOUNT}/ca.crt"))
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=context, timeout=30) as answer:
        return json.load(answer)

"""Bootstrap tokens: Secrets with which a new node proves that it may join, and whom it may trust.

Pure. What the two controllers of them have in common. Upstream: `k8s.io/cluster-bootstrap/token` and
`pkg/controller/bootstrap`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from datetime import datetime

from minik8s.machinery.meta import Doc, Obj, name_of, namespace_of, parse_time

SECRET_TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
PREFIX = "bootstrap-token-"
SIGNATURE_PREFIX = "jws-kubeconfig-"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")


def is_token(secret: Doc) -> bool:
    return secret.get("type") == SECRET_TYPE and namespace_of(secret) == NAMESPACE


def time_left(secret: Doc, now: datetime) -> float | None:
    """Seconds until it expires; None for never. A time that cannot be read is over."""
    text = _field(secret, "expiration")
    if not text:
        return None
    try:
        return (parse_time(text) - now).total_seconds()
    except ValueError:
        return 0.0


def signing_key(secret: Doc, now: datetime) -> tuple[str, str] | None:
    """(id, secret) of a token that may sign; None when it is malformed, over or not meant for it."""
    found = _TOKEN.fullmatch(f"{_field(secret, 'token-id')}.{_field(secret, 'token-secret')}")
    if found is None or name_of(secret) != PREFIX + found[1]:
        return None
    left = time_left(secret, now)
    usable = _field(secret, "usage-bootstrap-signing") == "true" and (left is None or left > 0)
    return (found[1], found[2]) if usable else None


def signed(config_map: Doc, secrets: Iterable[Doc], now: datetime) -> Obj | None:
    """The cluster-info ConfigMap with a signature for each token and no others; None when it is so already."""
    data = config_map.get("data") or {}
    if "kubeconfig" not in data:
        return None
    keys = dict(key for secret in secrets if is_token(secret) and (key := signing_key(secret, now)) is not None)
    rest = {key: value for key, value in data.items() if not key.startswith(SIGNATURE_PREFIX)}
    wanted = rest | {SIGNATURE_PREFIX + id: _detached(data["kubeconfig"], id, keys[id]) for id in sorted(keys)}
    return None if wanted == data else {**config_map, "data": wanted}


def _detached(content: str, id: str, secret: str) -> str:
    """A JWS (HS256) without its payload, which is the rest of the ConfigMap."""
    header = _base64(json.dumps({"alg": "HS256", "kid": id}, separators=(",", ":")).encode())
    signature = hmac.new(secret.encode(), f"{header}.{_base64(content.encode())}".encode(), hashlib.sha256).digest()
    return f"{header}..{_base64(signature)}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _field(secret: Doc, name: str) -> str:
    try:
        return base64.b64decode((secret.get("data") or {}).get(name) or "", validate=True).decode()
    except ValueError:
        return ""

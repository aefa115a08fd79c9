"""ConfigMap and Secret: keys, size, types, immutability."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads, set_default
from minik8s.api.validation.common import IMMUTABLE, named
from minik8s.machinery.field import forbidden, invalid, required, too_long
from minik8s.machinery.meta import Doc, Obj, annotations_of
from minik8s.machinery.names import config_key

MAX_SIZE = 1024 * 1024
"""Bytes of all values together."""
_SEALED = "field is immutable when `immutable` is set"
_REDACTED = "<secret contents redacted>"
_ACCOUNT_NAME = "kubernetes.io/service-account.name"


def _sealed(obj: Doc, old: Doc, *fields: str) -> Causes:
    """What an immutable object may not change."""
    if not old.get("immutable"):
        return
    if not obj.get("immutable"):
        yield forbidden("immutable", _SEALED)
    for name in fields:
        if obj.get(name) != old.get(name):
            yield forbidden(name, _SEALED)


class ConfigMapStrategy(KindStrategy):
    """Upstream: pkg/registry/core/configmap/strategy.go."""

    def check(self, obj: Doc) -> Causes:
        texts, blobs = obj.get("data") or {}, obj.get("binaryData") or {}
        for key in texts:
            yield from named(key, f"data[{key}]", config_key)
            if key in blobs:
                yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
        for key in blobs:
            yield from named(key, f"binaryData[{key}]", config_key)
        if sum(len(text.encode()) for text in texts.values()) + sum(map(_decoded_size, blobs.values())) > MAX_SIZE:
            yield too_long("[]", MAX_SIZE)  # the whole object, as Go prints a path of an empty name

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return _sealed(obj, old, "data", "binaryData")


class SecretStrategy(KindStrategy):
    """Upstream: pkg/registry/core/secret/strategy.go."""

    selectable: ClassVar[Selectable] = {"type": reads("type")}

    def default(self, obj: Obj) -> None:
        set_default(obj, "type", "Opaque")
        if (texts := obj.pop("stringData", None)) is not None:
            encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
            if encoded:
                obj["data"] = {**(obj.get("data") or {}), **encoded}

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        if not obj.get("type"):
            obj["type"] = old["type"]

    def check(self, obj: Doc) -> Causes:
        data: Mapping[str, str] = obj.get("data") or {}
        for key in data:
            yield from named(key, f"data[{key}]", config_key)
        if sum(map(_decoded_size, data.values())) > MAX_SIZE:
            yield too_long("data", MAX_SIZE)
        yield from _typed_content(obj, data)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        if obj.get("type") != old.get("type"):
            yield invalid("type", obj.get("type", ""), IMMUTABLE)
        yield from _sealed(obj, old, "data")


def _decoded_size(encoded: str) -> int:
    return len(encoded) * 3 // 4 - encoded.count("=", -2)


_REQUIRED_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_DOCKER_KEYS = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}


def _typed_content(obj: Doc, data: Mapping[str, str]) -> Causes:
    """What each well-known type needs to hold."""
    kind = obj.get("type", "")
    if kind == "kubernetes.io/service-account-token":
        if not annotations_of(obj).get(_ACCOUNT_NAME):
            yield required(f"metadata.annotations[{_ACCOUNT_NAME}]")
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            yield required("data[username]")
            yield required("data[password]")
    elif kind in _DOCKER_KEYS:
        yield from _docker_content(data, _DOCKER_KEYS[kind])
    elif kind == "kubernetes.io/ssh-auth" and not data.get("ssh-privatekey"):
        yield required("data[ssh-privatekey]")
    for key in _REQUIRED_KEYS.get(kind, ()):
        if key not in data:
            yield required(f"data[{key}]")


def _docker_content(data: Mapping[str, str], key: str) -> Causes:
    if key not in data:
        yield required(f"data[{key}]")
        return
    try:
        parsed: Any = orjson.loads(base64.b64decode(data[key]))
    except ValueError as error:
        yield invalid(f"data[{key}]", _REDACTED, str(error))
        return
    if not isinstance(parsed, dict):
        yield invalid(f"data[{key}]", _REDACTED, "json: cannot unmarshal into Go value of type map[string]interface {}")

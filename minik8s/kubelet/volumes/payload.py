"""The files of configMap, secret, downwardAPI and projected volumes, computed without touching any.

Upstream: MakePayload of pkg/volume/{configmap,secret,downwardapi,projected}. Missing objects and keys raise
`MountError` with the text that the FailedMount event shows after its colon.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from minik8s.kubelet.downward import FieldError, Surroundings, field_value, resource_value
from minik8s.kubelet.volumes.failures import MountError
from minik8s.kubelet.volumes.plan import PAYLOADS, fs_group, has_one_user
from minik8s.machinery.meta import Doc
from minik8s.machinery.remembering import remembered

DEFAULT_MODE = 0o644
PRIVATE_MODE = 0o600
TOKEN_SECONDS = 3600

Payload = dict[str, "File"]
"""Relative path -> file."""


@attrs.frozen
class File:
    data: bytes
    mode: int = DEFAULT_MODE


@attrs.frozen
class TokenWish:
    """A service-account token that a projected volume asks for; "" is the API server's own audience."""

    audience: str
    seconds: int


@attrs.frozen
class VolumeSources:
    """The objects behind a pod's volumes; None (or absence) stands for one that does not exist."""

    config_maps: Mapping[str, Doc | None] = attrs.field(factory=dict)
    secrets: Mapping[str, Doc | None] = attrs.field(factory=dict)
    tokens: Mapping[TokenWish, str] = attrs.field(factory=dict)
    surroundings: Surroundings = attrs.field(factory=Surroundings)


@attrs.frozen
class VolumeReferences:
    """What has to be at hand before `payload` can be called."""

    config_maps: frozenset[str]
    secrets: frozenset[str]
    tokens: frozenset[TokenWish]


def has_payload(volume: Doc) -> bool:
    """Whether the kubelet itself writes the volume's files."""
    return any(kind in volume for kind in PAYLOADS)


@remembered
def volume_references(volume: Doc) -> VolumeReferences:
    config_maps, secrets, tokens = set(), set(), set()
    for source in _sources(volume):
        if (ref := source.get("configMap")) is not None:
            config_maps.add(ref.get("name", ""))
        if (ref := source.get("secret")) is not None:
            secrets.add(_secret_name(ref))
        if (ref := source.get("serviceAccountToken")) is not None:
            tokens.add(_wish(ref))
    return VolumeReferences(frozenset(config_maps), frozenset(secrets), frozenset(tokens))


def payload(pod: Doc, volume: Doc, sources: VolumeSources) -> Payload:
    """All files of the volume. Raises MountError."""
    mode = _default_mode(volume)
    files: Payload = {}
    for source in _sources(volume):
        files |= _files(pod, source, mode, sources)
    return files


def _sources(volume: Doc) -> Iterable[Doc]:
    """The volume's sources, a plain volume being a projection of one."""
    if (projected := volume.get("projected")) is not None:
        return projected.get("sources") or ()
    return (volume,)


def _default_mode(volume: Doc) -> int:
    for kind in PAYLOADS:
        if (source := volume.get(kind)) is not None:
            mode = source.get("defaultMode")
            return DEFAULT_MODE if mode is None else int(mode)
    return DEFAULT_MODE


def _files(pod: Doc, source: Doc, mode: int, sources: VolumeSources) -> Payload:
    if (ref := source.get("configMap")) is not None:
        return _config_map_files(ref, sources.config_maps, mode)
    if (ref := source.get("secret")) is not None:
        return _secret_files(ref, sources.secrets, mode)
    if (ref := source.get("downwardAPI")) is not None:
        return _downward_files(pod, ref, mode, sources.surroundings)
    if (ref := source.get("serviceAccountToken")) is not None:
        token = sources.tokens.get(_wish(ref))
        if token is None:
            raise MountError("failed to fetch token")
        return {ref["path"]: File(token.encode(), _token_mode(pod, mode))}
    raise MountError(f"unsupported projection: {', '.join(source)}")


def _config_map_files(ref: Doc, objects: Mapping[str, Doc | None], mode: int) -> Payload:
    name = ref.get("name", "")
    config_map = objects.get(name)
    if config_map is None:
        if ref.get("optional"):
            return {}
        raise MountError(f'configmap "{name}" not found')
    data = {key: text.encode() for key, text in (config_map.get("data") or {}).items()}
    data |= {key: base64.b64decode(text) for key, text in (config_map.get("binaryData") or {}).items()}
    return _selected(data, ref, mode, "configmap references non-existent config key: ")


def _secret_files(ref: Doc, objects: Mapping[str, Doc | None], mode: int) -> Payload:
    name = _secret_name(ref)
    secret = objects.get(name)
    if secret is None:
        if ref.get("optional"):
            return {}
        raise MountError(f'secret "{name}" not found')
    data = {key: base64.b64decode(text or "") for key, text in (secret.get("data") or {}).items()}
    return _selected(data, ref, mode, "references non-existent secret key: ")


def _selected(data: Mapping[str, bytes], ref: Doc, mode: int, missing: str) -> Payload:
    """All keys, or with `items` the selected ones under their paths."""
    items = ref.get("items")
    if not items:
        return {key: File(content, mode) for key, content in data.items()}
    files: Payload = {}
    for item in items:
        if item["key"] in data:
            files[item["path"]] = File(data[item["key"]], _mode(item, mode))
        elif not ref.get("optional"):
            raise MountError(missing + item["key"])
    return files


def _downward_files(pod: Doc, ref: Doc, mode: int, surroundings: Surroundings) -> Payload:
    try:
        return {
            item["path"]: File(_downward_value(pod, item, surroundings).encode(), _mode(item, mode))
            for item in ref.get("items") or ()
        }
    except FieldError as error:
        raise MountError(str(error)) from error


def _downward_value(pod: Doc, item: Doc, surroundings: Surroundings) -> str:
    if field := item.get("fieldRef"):
        return field_value(pod, field["fieldPath"], surroundings)
    return resource_value(pod, item["resourceFieldRef"], "", surroundings)


def _mode(item: Doc, default: int) -> int:
    mode: Any = item.get("mode")
    return default if mode is None else int(mode)


def _secret_name(ref: Doc) -> str:
    """A secret volume says secretName, a projected source name."""
    return str(ref.get("secretName") or ref.get("name", ""))


def _token_mode(pod: Doc, mode: int) -> int:
    """A token is for the pod's one user alone; for its fsGroup the mode is opened with the rest of the volume."""
    return PRIVATE_MODE if fs_group(pod) is not None or has_one_user(pod) else mode


def _wish(ref: Doc) -> TokenWish:
    return TokenWish(ref.get("audience") or "", ref.get("expirationSeconds") or TOKEN_SECONDS)

"""A PersistentVolume's spec. Upstream: `ValidatePersistentVolumeSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.validation.claims import VOLUME_MODES, validate_access_modes
from minik8s.api.validation.common import Causes, named, one_of
from minik8s.api.validation.scheduling import validate_node_selector
from minik8s.api.validation.volumes import validate_host_path
from minik8s.api.validation.volumesources import ORDER, validate_source
from minik8s.machinery import names
from minik8s.machinery.field import forbidden, invalid, not_supported, required
from minik8s.machinery.quantity import parse_quantity

Part = Mapping[str, Any]

RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_SECRETS = (
    "controllerPublishSecretRef",
    "nodePublishSecretRef",
    "nodeStageSecretRef",
    "controllerExpandSecretRef",
    "nodeExpandSecretRef",
)


def volume_sources(spec: Part) -> dict[str, Any]:
    """The sources that a spec names, in upstream's order."""
    return {kind: spec[kind] for kind in ORDER if kind in spec}


def validate_persistent_volume(spec: Part, path: str) -> Causes:
    if not spec.get("accessModes"):
        yield required(f"{path}.accessModes")
    yield from validate_access_modes(spec.get("accessModes") or (), f"{path}.accessModes")
    yield from _capacity(spec.get("capacity") or {}, f"{path}.capacity")
    policy = spec.get("persistentVolumeReclaimPolicy")
    yield from one_of(policy, f"{path}.persistentVolumeReclaimPolicy", RECLAIM_POLICIES, optional=True)
    yield from _node_affinity(spec, f"{path}.nodeAffinity")
    yield from _sources(spec, path)
    if (spec.get("hostPath") or {}).get("path") == "/" and policy == "Recycle":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        yield forbidden(f"{path}.persistentVolumeReclaimPolicy", detail)
    if name := spec.get("storageClassName"):
        yield from named(name, f"{path}.storageClassName", names.dns1123_subdomain)
    yield from one_of(spec.get("volumeMode"), f"{path}.volumeMode", VOLUME_MODES, optional=True)
    if (name := spec.get("volumeAttributesClassName")) is not None:
        yield from _attributes_class(name, spec, path)


def _capacity(capacity: Part, path: str) -> Causes:
    if not capacity:
        yield required(path)
    elif set(capacity) != {"storage"}:
        yield not_supported(path, dict(capacity), ("storage",))
    for name, amount in capacity.items():
        if parse_quantity(amount).nanos <= 0:
            yield invalid(f"{path}[{name}]", amount, "must be greater than zero")


def _node_affinity(spec: Part, path: str) -> Causes:
    if (affinity := spec.get("nodeAffinity")) is None:
        return
    if affinity.get("required") is None:
        yield required(f"{path}.required", "must specify required node constraints")
    else:
        yield from validate_node_selector(affinity["required"], f"{path}.required")


def _sources(spec: Part, path: str) -> Causes:
    sources = volume_sources(spec)
    if not sources:
        yield required(path, "must specify a volume type")
    for number, (kind, source) in enumerate(sources.items()):
        place = f"{path}.{kind}"
        if number:
            yield forbidden(place, "may not specify more than 1 volume type")
        elif kind == "hostPath":
            yield from validate_host_path(source, place)
        elif kind == "csi":
            yield from _csi(source, place)
        else:
            yield from validate_source(kind, source, place)
            yield from _of_claims(kind, source, place)
    if "local" in sources and spec.get("nodeAffinity") is None:
        yield required(f"{path}.nodeAffinity", "Local volume requires node affinity")


def _of_claims(kind: str, source: Part, path: str) -> Causes:
    """What a source says in a PersistentVolume only: where its secrets are, as it has no namespace."""
    if kind == "scaleIO" and source.get("secretRef") is None:
        yield required(f"{path}.secretRef")
    if kind == "azureFile" and source.get("secretNamespace") == "":
        yield invalid(f"{path}.secretNamespace", "", "secretNamespace specified but is empty")
    if kind == "glusterfs" and (namespace := source.get("endpointsNamespace")) is not None:
        yield from named(namespace, f"{path}.endpointsNamespace", names.dns1123_label)
    if kind == "cinder" and (secret := source.get("secretRef")) is not None:
        for field in ("name", "namespace"):
            if not secret.get(field):
                yield required(f"{path}.secretRef.{field}")


def _csi(source: Part, path: str) -> Causes:
    yield from validate_source("csi", {"driver": source.get("driver", "")}, path)
    if not source.get("volumeHandle"):
        yield required(f"{path}.volumeHandle")
    for field in _SECRETS:
        if (secret := source.get(field)) is not None:
            for part in ("name", "namespace"):
                if not secret.get(part):
                    yield required(f"{path}.{field}.{part}")


def _attributes_class(name: str, spec: Part, path: str) -> Causes:
    if not name:
        yield required(f"{path}.volumeAttributesClassName", "an empty string is disallowed")
    else:
        yield from named(name, f"{path}.volumeAttributesClassName", names.dns1123_subdomain)
    if spec.get("csi") is None:
        yield required(f"{path}.csi", "has to be specified when using volumeAttributesClassName")

"""A PersistentVolumeClaim's spec, which also stands inside StatefulSets and ephemeral volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.validation.common import Causes, named, one_of
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.machinery import names
from minik8s.machinery.field import forbidden, invalid, not_supported, required
from minik8s.machinery.quantity import parse_quantity

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")


def storage_request(spec: Mapping[str, Any]) -> str | None:
    """The size that a claim asks for."""
    return ((spec.get("resources") or {}).get("requests") or {}).get("storage")


def validate_claim_spec(spec: Mapping[str, Any], path: str) -> Causes:
    """A claim's spec, also inside StatefulSets and ephemeral volumes."""
    modes = spec.get("accessModes") or ()
    if not modes:
        yield required(f"{path}.accessModes", "at least 1 access mode is required")
    if spec.get("selector") is not None:
        yield from validate_label_selector(spec["selector"], f"{path}.selector")
    yield from validate_access_modes(modes, f"{path}.accessModes")
    storage = storage_request(spec)
    if storage is None:
        yield required(f"{path}.resources[storage]")
    elif parse_quantity(storage).nanos <= 0:
        yield invalid(f"{path}.resources[storage]", storage, "must be greater than zero")
    if name := spec.get("storageClassName"):
        yield from named(name, f"{path}.storageClassName", names.dns1123_subdomain)
    yield from one_of(spec.get("volumeMode"), f"{path}.volumeMode", VOLUME_MODES, optional=True)
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    for field, part in (("dataSource", source), ("dataSourceRef", reference)):
        if part is not None:
            yield from _data_source(part, f"{path}.{field}")
    if source is not None and reference is not None and source != reference:
        yield invalid(path, "", "must match dataSourceRef")
    if name := spec.get("volumeAttributesClassName"):
        yield from named(name, f"{path}.volumeAttributesClassName", names.dns1123_subdomain)


def _data_source(source: Mapping[str, Any], path: str) -> Causes:
    for field in ("name", "kind"):
        if not source.get(field):
            yield required(f"{path}.{field}")
    if group := source.get("apiGroup"):
        yield from named(group, f"{path}.apiGroup", names.dns1123_subdomain)
    elif source.get("kind") != "PersistentVolumeClaim":
        yield invalid(path, source.get("kind", ""), "")


def validate_access_modes(modes: Sequence[str], path: str) -> Causes:
    """Access modes of a claim or volume."""
    for mode in modes:
        if mode not in ACCESS_MODES:
            yield not_supported(path, mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield forbidden(path, "may not use ReadWriteOncePod with other access modes")

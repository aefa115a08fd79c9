"""Columns of core's PersistentVolume and PersistentVolumeClaim."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import UNSET, age, dig
from minik8s.machinery.meta import Doc, annotations_of, is_terminating, name_of

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def _modes(modes: Iterable[str] | None) -> str:
    """Access modes in their fixed order."""
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _phase(obj: Doc) -> str:
    return "Terminating" if is_terminating(obj) else dig(obj, "status", "phase", default="")


def _class(obj: Doc) -> str:
    return annotations_of(obj).get(_CLASS_ANNOTATION) or dig(obj, "spec", "storageClassName", default="")


def _volume(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    claim = spec.get("claimRef")
    return [
        name_of(obj), dig(spec, "capacity", "storage", default="0"), _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""), _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _class(obj), spec.get("volumeAttributesClassName") or UNSET, dig(obj, "status", "reason", default=""),
        age(obj, now), spec.get("volumeMode") or UNSET,
    ]  # fmt: skip


def _claim(obj: Doc, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    volume = spec.get("volumeName", "")
    return [
        name_of(obj), _phase(obj), volume,
        dig(status, "capacity", "storage", default="0") if volume else "",
        _modes(status.get("accessModes")) if volume else "",
        _class(obj), spec.get("volumeAttributesClassName") or UNSET, age(obj, now), spec.get("volumeMode") or UNSET,
    ]  # fmt: skip


COLUMNS = {
    ("", "PersistentVolume"): columns(
        "Name:s/name, Capacity:s, Access Modes:s, Reclaim Policy:s, Status:s, Claim:s, StorageClass:s, "
        "VolumeAttributesClass:s, Reason:s, Age:s, VolumeMode:s+",
        _volume,
    ),
    ("", "PersistentVolumeClaim"): columns(
        "Name:s/name, Status:s, Volume:s, Capacity:s, Access Modes:s, StorageClass:s, VolumeAttributesClass:s, "
        "Age:s, VolumeMode:s+",
        _claim,
    ),
}

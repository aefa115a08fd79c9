"""Columns of the storage group."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns import render
from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import UNSET, age, dig
from minik8s.machinery.meta import Doc, name_of


def _storage_class(obj: Doc, now: datetime) -> list[Any]:
    name = render.name_marked_default(
        obj, "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"
    )
    return [
        name, obj.get("provisioner", ""), obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"), bool(obj.get("allowVolumeExpansion")), age(obj, now),
    ]  # fmt: skip


def _csi_driver(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    tokens = spec.get("tokenRequests")
    return [
        name_of(obj), spec.get("attachRequired", True), bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        UNSET if tokens is None else ",".join(t.get("audience", "") for t in tokens),
        bool(spec.get("requiresRepublish")), render.joined(spec.get("volumeLifecycleModes")), age(obj, now),
    ]  # fmt: skip


def _csi_node(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), len(dig(obj, "spec", "drivers", default=())), age(obj, now)]


def _attachment(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    return [
        name_of(obj), spec.get("attacher", ""), dig(spec, "source", "persistentVolumeName", default=""),
        spec.get("nodeName", ""), dig(obj, "status", "attached", default=False), age(obj, now),
    ]  # fmt: skip


def _attributes_class(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), obj.get("driverName", ""), age(obj, now)]


_GROUP = "storage.k8s.io"

COLUMNS = {
    (_GROUP, "StorageClass"): columns(
        "Name:s/name, Provisioner:s, ReclaimPolicy:s, VolumeBindingMode:s, AllowVolumeExpansion:s, Age:s",
        _storage_class,
    ),
    (_GROUP, "CSIDriver"): columns(
        "Name:s/name, AttachRequired:b, PodInfoOnMount:b, StorageCapacity:b, TokenRequests:s, RequiresRepublish:b, "
        "Modes:s, Age:s",
        _csi_driver,
    ),
    (_GROUP, "CSINode"): columns("Name:s/name, Drivers:i, Age:s", _csi_node),
    (_GROUP, "VolumeAttachment"): columns("Name:s/name, Attacher:s/name, PV:s, Node:s, Attached:b, Age:s", _attachment),
    (_GROUP, "VolumeAttributesClass"): columns("Name:s/name, DriverName:s, Age:s", _attributes_class),
}

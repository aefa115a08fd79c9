"""Volume sources that somebody else's storage serves, in pods and in PersistentVolumes.

Upstream: the validate…VolumeSource functions of pkg/apis/core/validation. Most only need some fields, so they are a
table; the rest has rules of its own. `ORDER` is upstream's: of two sources the later one is the one too many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from minik8s.api.validation.common import Causes, in_range, no_backsteps, relative_path
from minik8s.machinery import names
from minik8s.machinery.field import invalid, not_supported, required, too_long

Part = Mapping[str, Any]

ORDER = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi",
    "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc",
    "flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk",
    "storageos", "projected", "scaleIO", "local", "csi", "ephemeral", "image",
)  # fmt: skip
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "gitRepo": ("repository",),
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "nfs": ("server", "path"),
    "glusterfs": ("endpoints", "path"),
    "persistentVolumeClaim": ("claimName",),
    "rbd": ("monitors", "image"),
    "cinder": ("volumeID",),
    "cephfs": ("monitors",),
    "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "scaleIO": ("gateway", "system", "volumeName"),
}
_MAX_DRIVER = 63
_IQN = re.compile(r"iqn\.[0-9]{4}-[0-9]{2}\.([a-z0-9.-]+)(:([a-zA-Z0-9.:_-]+))?")
_EUI, _NAA = re.compile(r"eui\.[0-9A-Fa-f]{16}"), re.compile(r"naa\.[0-9A-Fa-f]{16}([0-9A-Fa-f]{16})?")
_CACHING, _DISK_KINDS = ("None", "ReadOnly", "ReadWrite"), ("Dedicated", "Managed", "Shared")


def validate_source(kind: str, source: Part, path: str) -> Causes:
    """One source of a kind that `ORDER` lists, as far as pods and PersistentVolumes agree about it."""
    for field in _REQUIRED.get(kind, ()):
        if not source.get(field):
            yield required(f"{path}.{field}")
    if rule := _RULES.get(kind):
        yield from rule(source, path)


def validate_csi_driver(driver: str, path: str) -> Causes:
    """A CSI driver's name: a subdomain of limited length, in any case."""
    if not driver:
        yield required(path)
        return
    if len(driver) > _MAX_DRIVER:
        yield too_long(path, _MAX_DRIVER)
    for text in names.dns1123_subdomain(driver.lower()):
        yield invalid(path, driver, text)


def _partition(source: Part, path: str) -> Causes:
    if not 0 <= (number := source.get("partition", 0)) <= 255:
        yield invalid(f"{path}.partition", number, "must be between 1 and 255, inclusive")


def _git(source: Part, path: str) -> Causes:
    return relative_path(source.get("directory", ""), f"{path}.directory")


def _nfs(source: Part, path: str) -> Causes:
    target = source.get("path", "")
    if not target.startswith("/"):
        yield invalid(f"{path}.path", target, "must be an absolute path")


def _iscsi(source: Part, path: str) -> Causes:
    if not source.get("targetPortal"):
        yield required(f"{path}.targetPortal")
    name = source.get("iqn", "")
    if not name:
        yield required(f"{path}.iqn")
    elif not name.startswith(("iqn", "eui", "naa")):
        yield invalid(f"{path}.iqn", name, "must be valid format starting with iqn, eui, or naa")
    elif not (_IQN.fullmatch(name) or _EUI.fullmatch(name) or _NAA.fullmatch(name)):
        yield invalid(f"{path}.iqn", name, "must be valid format")
    yield from in_range(source.get("lun", 0), f"{path}.lun", 0, 255)
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        yield required(f"{path}.secretRef")


def _flocker(source: Part, path: str) -> Causes:
    name, uid = source.get("datasetName", ""), source.get("datasetUUID", "")
    if not name and not uid:
        yield required(path, "one of datasetName and datasetUUID is required")
    if name and uid:
        yield invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        yield invalid(f"{path}.datasetName", name, "must not contain '/'")


def _quobyte(source: Part, path: str) -> Causes:
    registry = source.get("registry", "")
    detail = "must be a host:port pair or multiple pairs separated by commas"
    if not registry:
        yield required(f"{path}.registry", detail)
    elif any(":" not in pair for pair in registry.split(",")):
        yield invalid(f"{path}.registry", registry, detail)
    if len(source.get("tenant", "")) >= 65:
        yield required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters")
    if not source.get("volume"):
        yield required(f"{path}.volume")


def _fibre(source: Part, path: str) -> Causes:
    targets, wwids, lun = source.get("targetWWNs") or (), source.get("wwids") or (), source.get("lun")
    place = f"{path}.targetWWNs"
    if not targets and not wwids:
        yield required(place, "must specify either targetWWNs or wwids, but not both")
    if targets and wwids:
        yield invalid(place, list(targets), "targetWWNs and wwids can not be specified simultaneously")
    if targets and lun is None:
        yield required(f"{path}.lun", "lun is required if targetWWNs is specified")
    elif targets:
        yield from in_range(lun, f"{path}.lun", 0, 255)


def _flex(source: Part, path: str) -> Causes:
    for key in source.get("options") or ():
        if re.search(r"(^|\.)(kubernetes\.io|k8s\.io)(/|$)", key):
            detail = "kubernetes.io and k8s.io namespaces are reserved"
            yield invalid(f"{path}.options[{key}]", key, detail)


def _disk(source: Part, path: str) -> Causes:
    for field, supported in (("cachingMode", _CACHING), ("kind", _DISK_KINDS)):
        value = source.get(field)
        if value is not None and value not in supported:
            yield not_supported(f"{path}.{field}", value, supported)


def _storage_os(source: Part, path: str) -> Causes:
    for field, needed in (("volumeName", True), ("volumeNamespace", False)):
        value = source.get(field, "")
        if value:
            for text in names.dns1123_label(value):
                yield invalid(f"{path}.{field}", value, text)
        elif needed:
            yield required(f"{path}.{field}")


def _csi(source: Part, path: str) -> Causes:
    yield from validate_csi_driver(source.get("driver", ""), f"{path}.driver")
    secret = source.get("nodePublishSecretRef")
    if secret is not None and not secret.get("name"):
        yield required(f"{path}.nodePublishSecretRef.name")


def _local(source: Part, path: str) -> Causes:
    if not source.get("path"):
        yield required(f"{path}.path")
    else:
        yield from no_backsteps(source["path"], f"{path}.path")


_RULES: Mapping[str, Callable[[Part, str], Causes]] = {
    "gitRepo": _git,
    "gcePersistentDisk": _partition,
    "awsElasticBlockStore": _partition,
    "nfs": _nfs,
    "iscsi": _iscsi,
    "flocker": _flocker,
    "quobyte": _quobyte,
    "fc": _fibre,
    "flexVolume": _flex,
    "azureDisk": _disk,
    "storageos": _storage_os,
    "csi": _csi,
    "local": _local,
}

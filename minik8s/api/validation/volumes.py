"""A pod's volumes: those that Kubernetes itself fills; other storage's sources stand in volumesources.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.validation.claims import validate_claim_spec
from minik8s.api.validation.common import Causes, file_path, named, no_backsteps, one_of
from minik8s.api.validation.env import VOLUME_PATHS, validate_field_ref, validate_resource_field_ref
from minik8s.api.validation.volumesources import ORDER, validate_source
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, not_supported, required
from minik8s.machinery.quantity import parse_quantity

Part = Mapping[str, Any]

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_RANK = {kind: rank for rank, kind in enumerate(ORDER)}
_REDUNDANT = "conflicting duplicate paths"
_SHORTEST_TOKEN, _LONGEST_TOKEN = 600, 1 << 32


def validate_volumes(volumes: Sequence[Part], path: str) -> Causes:
    seen = set()
    for index, volume in enumerate(volumes):
        place, name = f"{path}[{index}]", volume.get("name", "")
        if not name:
            yield required(f"{place}.name")
        else:
            yield from named(name, f"{place}.name", names.dns1123_label)
        if name in seen:
            yield duplicate(f"{place}.name", name)
        seen.add(name)
        sources = [key for key in volume if key != "name"]
        if not sources:
            yield required(place, "must specify a volume type")
            continue
        if len(sources) > 1:
            sources.sort(key=_RANK.__getitem__)
        first = sources[0]
        yield from _source(first, volume[first], f"{place}.{first}")
        for extra in sources[1:]:
            yield forbidden(f"{place}.{extra}", "may not specify more than 1 volume type")


def _source(kind: str, source: Part, path: str) -> Causes:
    match kind:
        case "emptyDir":
            if (limit := source.get("sizeLimit")) and parse_quantity(limit).nanos < 0:
                yield forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")
        case "hostPath":
            yield from validate_host_path(source, path)
        case "configMap":
            yield from _files(source, path, "name")
        case "secret":
            yield from _files(source, path, "secretName")
        case "downwardAPI":
            yield from _mode(source, path, "defaultMode")
            for item in source.get("items") or ():
                yield from _downward_file(item, path)
        case "projected":
            yield from _mode(source, path, "defaultMode")
            yield from _projections(source.get("sources") or (), path)
        case "ephemeral":
            yield from _ephemeral(source, path)
        case "image":
            if not source.get("reference") and path.startswith("spec.volumes["):  # a template may leave it to others
                yield required(f"{path}.reference")
            yield from one_of(source.get("pullPolicy"), f"{path}.pullPolicy", PULL_POLICIES)
        case _:
            yield from validate_source(kind, source, path)


def validate_host_path(source: Part, path: str) -> Causes:
    """A path of the node, in pods and in PersistentVolumes."""
    if not source.get("path"):
        yield required(f"{path}.path")
        return
    yield from no_backsteps(source["path"], f"{path}.path")
    if source.get("type") is not None and source["type"] not in _HOST_PATH_TYPES:
        yield not_supported(f"{path}.type", source["type"], _HOST_PATH_TYPES)


def _mode(part: Part, path: str, field: str) -> Causes:
    mode = part.get(field)
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(f"{path}.{field}", mode, _MODE)


def _files(source: Part, path: str, name_field: str) -> Causes:
    """A ConfigMap or Secret, as a whole or some keys of it."""
    if not source.get(name_field):
        yield required(f"{path}.{name_field}")
    yield from _mode(source, path, "defaultMode")
    for index, item in enumerate(source.get("items") or ()):
        yield from _key_to_path(item, f"{path}.items[{index}]")


def _key_to_path(item: Part, path: str) -> Causes:
    for field in ("key", "path"):
        if not item.get(field):
            yield required(f"{path}.{field}")
    yield from file_path(item.get("path", ""), f"{path}.path")
    yield from _mode(item, path, "mode")


def _downward_file(item: Part, path: str) -> Causes:
    if not item.get("path"):
        yield required(f"{path}.path")
    yield from file_path(item.get("path", ""), f"{path}.path")
    if item.get("fieldRef") is not None:
        yield from validate_field_ref(item["fieldRef"], f"{path}.fieldRef", VOLUME_PATHS)
        if item.get("resourceFieldRef") is not None:
            yield invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif item.get("resourceFieldRef") is not None:
        yield from validate_resource_field_ref(item["resourceFieldRef"], f"{path}.resourceFieldRef", volume=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from _mode(item, path, "mode")


def _projections(sources: Sequence[Part], path: str) -> Causes:
    taken: set[str] = set()
    for index, source in enumerate(sources):
        place = f"{path}.sources[{index}]"
        for kind, part in source.items():
            yield from _projection(kind, part, f"{place}.{kind}", path)
            for file, owner in _projected_paths(kind, part):
                if file in taken:
                    yield invalid(path, owner, _REDUNDANT)
                taken.add(file)
        if len(source) > 1:
            yield forbidden(place, "may not specify more than 1 volume type per source")


def _projection(kind: str, part: Part, path: str, volume_path: str) -> Causes:
    if kind in ("secret", "configMap"):
        yield from _files(part, path, "name")
    elif kind == "downwardAPI":
        for item in part.get("items") or ():
            yield from _downward_file(item, path)
    elif kind == "serviceAccountToken":
        seconds = part.get("expirationSeconds", 0)
        if seconds < _SHORTEST_TOKEN:
            detail = "may not specify a duration less than 10 minutes"
            yield invalid(f"{path}.expirationSeconds", seconds, detail)
        if seconds > _LONGEST_TOKEN:
            detail = "may not specify a duration larger than 2^32 seconds"
            yield invalid(f"{path}.expirationSeconds", seconds, detail)
        if not part.get("path"):
            yield required(f"{volume_path}.path")
        else:
            yield from file_path(part["path"], f"{volume_path}.path")


def _projected_paths(kind: str, part: Part) -> list[tuple[str, str]]:
    """(path of a file, what upstream's message shows as its owner)."""
    if kind in ("secret", "configMap"):
        return [(item["path"], part.get("name", "")) for item in part.get("items") or () if item.get("path")]
    if kind == "downwardAPI":
        return [(item["path"], item["path"]) for item in part.get("items") or () if item.get("path")]
    return [(part["path"], part["path"])] if kind == "clusterTrustBundle" and part.get("path") else []


def _ephemeral(source: Part, path: str) -> Causes:
    template = source.get("volumeClaimTemplate")
    if template is None:
        yield required(f"{path}.volumeClaimTemplate")
        return
    yield from validate_claim_spec(template.get("spec") or {}, f"{path}.volumeClaimTemplate.spec")

"""A container's environment: variables, their sources, and references into the pod and its resources."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.validation.common import Causes, file_path, named, required_name
from minik8s.machinery import names
from minik8s.machinery.field import invalid, not_found, not_supported, required
from minik8s.machinery.quantity import parse_quantity

Part = Mapping[str, Any]

_ENV_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_PATHS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_KNOWN_PATHS = frozenset(
    {*_ENV_PATHS, *VOLUME_PATHS, "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host"}
)
"""What upstream can convert at all; the rest is not even a field label."""
_SUBSCRIPT = re.compile(r"(.+)\['(.+)'\]")
_RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_CPU_DIVISORS = ("1m", "1")
_SIZE_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_MANY = "may not have more than one field specified at a time"


def validate_env(variables: Sequence[Part], path: str, volumes: Mapping[str, Part]) -> Causes:
    """A container's variables; `volumes` are the pod's, for values that come from files."""
    for index, variable in enumerate(variables):
        place = f"{path}[{index}]"
        yield from required_name(variable.get("name"), f"{place}.name", names.env_name)
        if (source := variable.get("valueFrom")) is not None:
            yield from _value_from(variable, source, f"{place}.valueFrom", volumes)


def _value_from(variable: Part, source: Part, path: str, volumes: Mapping[str, Part]) -> Causes:
    given = [name for name in _SOURCES if source.get(name) is not None]
    if "fieldRef" in given:
        yield from validate_field_ref(source["fieldRef"], f"{path}.fieldRef", _ENV_PATHS)
    if "resourceFieldRef" in given:
        yield from validate_resource_field_ref(source["resourceFieldRef"], f"{path}.resourceFieldRef")
    for name in ("configMapKeyRef", "secretKeyRef"):
        if name in given:
            reference, place = source[name], f"{path}.{name}"
            yield from named(reference.get("name", ""), f"{place}.name", names.dns1123_subdomain)
            yield from required_name(reference.get("key"), f"{place}.key", names.config_key)
    if "fileKeyRef" in given:
        yield from _file_key(source["fileKeyRef"], f"{path}.fileKeyRef", volumes)
    if not given:
        listed = ", ".join(f"`{name}`" for name in _SOURCES[:-1])
        yield invalid(path, "", f"must specify one of: {listed} or `{_SOURCES[-1]}`")
    elif variable.get("value"):
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        yield invalid(path, "", _MANY)


def _file_key(reference: Part, path: str, volumes: Mapping[str, Part]) -> Causes:
    """A variable of a file that an init container has written into an emptyDir."""
    yield from required_name(reference.get("key"), f"{path}.key", names.env_name)
    if not (file := reference.get("path")):
        yield required(f"{path}.path")
    else:
        yield from file_path(file, f"{path}.path")
    if not (name := reference.get("volumeName")):
        yield required(f"{path}.volumeName")
    elif name not in volumes:
        yield not_found(f"{path}.volumeName", name)
    elif "emptyDir" not in volumes[name]:
        yield invalid(f"{path}.volumeName", name, "referenced volume must be of type emptyDir")


def validate_field_ref(reference: Part, path: str, allowed: Sequence[str]) -> Causes:
    """A reference to a field of the pod."""
    field = reference.get("fieldPath", "")
    if not reference.get("apiVersion"):
        yield required(f"{path}.apiVersion")
    elif not field:
        yield required(f"{path}.fieldPath")
    elif match := _SUBSCRIPT.fullmatch(field):
        if match[1] == "metadata.annotations":
            yield from named(match[2].lower(), path, names.qualified_name)
        elif match[1] == "metadata.labels":
            yield from named(match[2], path, names.qualified_name)
        else:
            detail = f"error converting fieldPath: field label does not support subscript: {field}"
            yield invalid(f"{path}.fieldPath", field, detail)
    elif field not in _KNOWN_PATHS:
        detail = f"error converting fieldPath: field label not supported: {field}"
        yield invalid(f"{path}.fieldPath", field, detail)
    elif field not in allowed:
        yield not_supported(f"{path}.fieldPath", field, allowed)


def validate_resource_field_ref(reference: Part, path: str, *, volume: bool = False) -> Causes:
    """A reference to a container's own requests or limits."""
    resource = reference.get("resource", "")
    huge = resource.startswith(("limits.hugepages-", "requests.hugepages-"))
    if volume and not reference.get("containerName"):
        yield required(f"{path}.containerName")
    elif not resource:
        yield required(f"{path}.resource")
    elif resource not in _RESOURCES and not huge:
        yield not_supported(f"{path}.resource", resource, _RESOURCES)
    divisor = parse_quantity(reference.get("divisor", "0"))
    if not divisor:
        return
    kind = "hugepages" if huge else resource.partition(".")[2]
    if kind == "cpu" and str(divisor) not in _CPU_DIVISORS:
        yield invalid(f"{path}.divisor", resource, "only divisor's values 1m and 1 are supported with the cpu resource")
    elif kind in _SIZED and str(divisor) not in _SIZE_DIVISORS:
        listed = ", ".join(_SIZE_DIVISORS)
        detail = f"only divisor's values {listed} are supported with the {_SIZED[kind]} resource"
        yield invalid(f"{path}.divisor", resource, detail)


_SIZED = {"memory": "memory", "ephemeral-storage": "local ephemeral storage", "hugepages": "hugepages"}


def validate_env_from(sources: Sequence[Part], path: str) -> Causes:
    for index, source in enumerate(sources):
        place = f"{path}[{index}]"
        if prefix := source.get("prefix"):
            yield from named(prefix, f"{place}.prefix", names.env_name)
        given = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        for name in given:
            reference = source[name].get("name")
            yield from required_name(reference, f"{place}.{name}.name", names.dns1123_subdomain)
        if not given:
            yield invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            yield invalid(path, "", _MANY)

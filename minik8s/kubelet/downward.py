"""The downward API: what a pod may learn about itself, as environment variables and files.

fieldRef follows upstream's pkg/fieldpath and the kubelet's podFieldSelectorRuntimeValue, resourceFieldRef its
pkg/api/v1/resource helpers: values are rounded up to the divisor, and a missing limit is the node's allocatable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from minik8s.machinery.meta import Doc, annotations_of, labels_of
from minik8s.machinery.quantity import parse_quantity

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")
_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


class FieldError(ValueError):
    """A field that cannot be given; the text is what the container waits with."""


@attrs.frozen
class Surroundings:
    """What a pod's object does not say about it: addresses, and the allocatable resources of its node."""

    host_ip: str = ""
    pod_ips: tuple[str, ...] = ()
    allocatable: Mapping[str, str] = attrs.field(factory=dict)


def field_value(pod: Doc, path: str, surroundings: Surroundings) -> str:
    """The value of a fieldRef. Raises FieldError for a path that the downward API does not offer."""
    meta, spec = pod["metadata"], pod["spec"]
    match path:
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(meta.get(path.removeprefix("metadata."), ""))
        case "metadata.labels":
            return format_map(labels_of(pod))
        case "metadata.annotations":
            return format_map(annotations_of(pod))
        case "spec.nodeName":
            return str(spec.get("nodeName", ""))
        case "spec.serviceAccountName":
            return str(spec.get("serviceAccountName", ""))
        case "status.hostIP" | "status.hostIPs":
            return surroundings.host_ip
        case "status.podIP":
            return surroundings.pod_ips[0] if surroundings.pod_ips else ""
        case "status.podIPs":
            return ",".join(surroundings.pod_ips)
    if match_ := _SUBSCRIPT.fullmatch(path):
        return str((meta.get(match_[1]) or {}).get(match_[2], ""))
    raise FieldError(f"unsupported fieldPath: {path}")


def resource_value(pod: Doc, selector: Doc, container_name: str, surroundings: Surroundings) -> str:
    """The value of a resourceFieldRef; its own containerName wins over `container_name`. Raises FieldError."""
    name = selector.get("containerName") or container_name
    container = _container(pod, name)
    kind, _, resource = selector["resource"].partition(".")
    amount = ((container.get("resources") or {}).get(kind) or {}).get(resource)
    if amount is None and kind == "limits":
        amount = surroundings.allocatable.get(resource)
    if kind not in ("limits", "requests"):
        raise FieldError(f"unsupported container resource : {selector['resource']}")
    divisor = parse_quantity(selector.get("divisor") or 0)
    milli = resource == "cpu"
    have = parse_quantity(amount or 0)
    unit = (divisor.milli() if milli else divisor.value()) or (1000 if milli else 1)
    return str(-((have.milli() if milli else have.value()) // -unit))


def format_map(values: Mapping[str, str]) -> str:
    """`key="escaped value"` lines in the keys' order: labels and annotations as one file."""
    return "\n".join(f'{key}="{_quoted(values[key])}"' for key in sorted(values))


def _quoted(text: str) -> str:
    return "".join(_ESCAPES.get(char) or (char if char.isprintable() else _code(char)) for char in text)


def _code(char: str) -> str:
    number = ord(char)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _container(pod: Doc, name: str) -> Doc:
    for field in ("containers", "initContainers"):
        for container in pod["spec"].get(field) or ():
            if container["name"] == name:
                return container
    raise FieldError(f"container {name} not found")

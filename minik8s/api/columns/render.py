"""The renderings that many kinds share: ages, label maps, selectors, image lists, clipped lists.

Upstream: apimachinery `pkg/util/duration` (HumanDuration) and the helpers of `printers.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc, name_of, parse_time
from minik8s.machinery.selectors import LabelSelector

NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"
INVALID = "<invalid>"
SHOWN = 3
"""How many items of a list a cell shows before it says how many more there are."""


def dig(doc: Any, *path: str, default: Any = None) -> Any:
    """The value at a path of keys; `default` where it is absent, null or empty text."""
    for key in path:
        if not isinstance(doc, Mapping):
            return default
        doc = doc.get(key)
    return default if doc is None or doc == "" else doc


def duration(seconds: float) -> str:
    """A span of time in its one or two largest units: `5m30s`, `3h`, `2d4h`, `1y30d`."""
    total = int(seconds)
    if total < -1:
        return INVALID
    if total <= 0:
        return "0s"
    if total < 120:
        return f"{total}s"
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 2 * 365:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def since(time: str | None, now: datetime) -> str:
    """How long ago a timestamp of a document was."""
    if not time:
        return UNKNOWN
    try:
        return duration((now - parse_time(time)).total_seconds())
    except ValueError:
        return INVALID


def age(obj: Doc, now: datetime) -> str:
    """How long ago the object was created."""
    return since(obj["metadata"].get("creationTimestamp"), now)


def labels(values: Mapping[str, str] | None) -> str:
    """A label map: `a=1,b=2`, sorted."""
    return ",".join(f"{k}={v}" for k, v in sorted((values or {}).items())) or NONE


def selector(value: Doc | None) -> str:
    """A metav1.LabelSelector's requirements."""
    try:
        return str(LabelSelector.from_object(value)) or NONE
    except BadRequest:
        return "<error>"


def containers(pod_spec: Doc | None) -> str:
    return ",".join(c.get("name", "") for c in dig(pod_spec, "containers", default=()))


def images(pod_spec: Doc | None) -> str:
    return ",".join(c.get("image", "") for c in dig(pod_spec, "containers", default=()))


def clipped(items: Sequence[str], *, empty: str = "") -> str:
    """The first three items, and how many more there are."""
    if not items:
        return empty
    shown = ",".join(items[:SHOWN])
    return f"{shown} + {len(items) - SHOWN} more..." if len(items) > SHOWN else shown


def joined(items: Iterable[str] | None, *, empty: str = NONE) -> str:
    return ",".join(items or ()) or empty


def boolean(value: bool | None) -> str:
    """An optional boolean as a text."""
    return UNSET if value is None else str(value)


def host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def load_balancer(status: Doc | None) -> str:
    """The addresses of a load balancer: IPs, host names where there is none, sorted and without repetition."""
    ingress = dig(status, "ingress", default=())
    return ",".join(sorted({i.get("ip") or i.get("hostname") or "" for i in ingress} - {""}))


def name_marked_default(obj: Doc, *annotations: str) -> str:
    """The name, marked when one of the annotations makes the object its kind's default."""
    values = obj["metadata"].get("annotations") or {}
    is_default = any(values.get(annotation) == "true" for annotation in annotations)
    return name_of(obj) + (" (default)" if is_default else "")

"""APIService."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.api.validation.common import named
from minik8s.machinery import names
from minik8s.machinery.field import invalid, required
from minik8s.machinery.meta import Doc, Obj, name_of

DEFAULT_PORT = 443


class APIServiceStrategy(KindStrategy):
    """Upstream: kube-aggregator pkg/apis/apiregistration/validation."""

    requires_version = True
    status_keeps_metadata = True

    def default(self, obj: Obj) -> None:
        if (service := obj["spec"].get("service")) is not None:
            service.setdefault("port", DEFAULT_PORT)

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        wanted = f"{spec.get('version', '')}.{spec.get('group', '')}"
        if name_of(obj) != wanted:
            yield invalid(
                "metadata.name", name_of(obj), f'must be `spec.version+"."+spec.group`: {wanted!r}'.replace("'", '"')
            )
        if version := spec.get("version", ""):
            yield from named(version, "spec.version", names.dns1035_label)
        else:
            yield required("spec.version")
        group = spec.get("group", "")
        if group:
            yield from named(group, "spec.group", names.dns1123_subdomain)
        elif version != "v1":
            yield required("spec.group", "only v1 may have an empty group and it better be legacy kube")
        for field, limit in (("groupPriorityMinimum", 20_000), ("versionPriority", 1000)):
            value = spec.get(field, 0)
            if not 0 < value <= limit:
                yield invalid(f"spec.{field}", value, f"must be positive and less than {limit}")
        yield from _backend(spec)


def _backend(spec: Mapping[str, Any]) -> Causes:
    """Where an aggregated API is served; a local one has nowhere to point to."""
    service, bundle, insecure = spec.get("service"), spec.get("caBundle"), spec.get("insecureSkipTLSVerify")
    if service is None:
        if bundle:
            yield invalid(
                "spec.caBundle", f"{len(b64decode(bundle))} bytes", "local APIServices may not have a caBundle"
            )
        if insecure:
            yield invalid("spec.insecureSkipTLSVerify", True, "local APIServices may not have insecureSkipTLSVerify")
        return
    for field in ("namespace", "name"):
        if not service.get(field):
            yield required(f"spec.service.{field}")
    for text in names.port_number(service.get("port", DEFAULT_PORT)):
        yield invalid("spec.service.port", service["port"], f"port is not valid: {text}")
    if bundle and insecure:
        yield invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")


STRATEGIES: Mapping[str, type[KindStrategy]] = {"apiservices": APIServiceStrategy}

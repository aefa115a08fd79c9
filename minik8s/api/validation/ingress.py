"""An Ingress's spec. Upstream: pkg/apis/networking/validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.validation.common import Causes, in_range, named, required_name
from minik8s.machinery import names
from minik8s.machinery.field import invalid, not_supported, required

Part = Mapping[str, Any]

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_PARTS = ("//", "/./", "/../", "%2f", "%2F")
_SUFFIXES = ("/..", "/.")


def validate_ingress(spec: Part) -> Causes:
    backend, rules = spec.get("defaultBackend"), spec.get("rules") or ()
    if backend is None and not rules:
        yield invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
    if backend is not None:
        yield from _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        yield from _rule(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls") or ()):
        for number, host in enumerate(tls.get("hosts") or ()):
            yield from _host(host, f"spec.tls[{index}].hosts[{number}]")
        if secret := tls.get("secretName"):
            yield from named(secret, f"spec.tls[{index}].secretName", names.dns1123_subdomain)
    if (name := spec.get("ingressClassName")) is not None:
        yield from named(name, "spec.ingressClassName", names.dns1123_subdomain)


def _host(host: str, path: str) -> Causes:
    rule = names.wildcard_subdomain if "*" in host else names.dns1123_subdomain
    yield from named(host, path, rule)


def _rule(rule: Part, path: str) -> Causes:
    if host := rule.get("host"):
        if not names.ip(host):
            yield invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        yield from _host(host, f"{path}.host")
    if (http := rule.get("http")) is None:
        return
    paths = http.get("paths") or ()
    if not paths:
        yield required(f"{path}.http.paths")
    for index, item in enumerate(paths):
        yield from _path(item, f"{path}.http.paths[{index}]")


def _path(item: Part, path: str) -> Causes:
    kind, value = item.get("pathType"), item.get("path", "")
    if kind is None:
        yield required(f"{path}.pathType", "pathType must be specified")
        return
    if kind in ("Exact", "Prefix"):
        if not value.startswith("/"):
            yield invalid(f"{path}.path", value, "must be an absolute path")
        for part in _PARTS:
            if part in value:
                yield invalid(f"{path}.path", value, f"must not contain '{part}'")
        for suffix in _SUFFIXES:
            if value.endswith(suffix):
                yield invalid(f"{path}.path", value, f"cannot end with '{suffix}'")
    elif kind == "ImplementationSpecific":
        if value and not value.startswith("/"):
            yield invalid(f"{path}.path", value, "must be an absolute path")
    else:
        yield not_supported(f"{path}.pathType", kind, _PATH_TYPES)
    yield from _backend(item.get("backend") or {}, f"{path}.backend")


def _backend(backend: Part, path: str) -> Causes:
    service, resource = backend.get("service"), backend.get("resource")
    if resource is not None and service is not None:
        yield invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        if (group := resource.get("apiGroup")) is not None:
            yield from named(group, f"{path}.resource.apiGroup", names.dns1123_subdomain)
        for field in ("kind", "name"):
            yield from required_name(resource.get(field), f"{path}.resource.{field}", names.path_segment)
    elif service is None:
        yield invalid(path, "", "resource or service backend is required")
    else:
        yield from required_name(service.get("name"), f"{path}.service.name", names.dns1123_label)
        yield from _backend_port(service.get("port") or {}, path)


def _backend_port(port: Part, path: str) -> Causes:
    if port.get("name") and port.get("number"):
        yield invalid(path, "", "cannot set both port name & port number")
    elif port.get("name"):
        yield from named(port["name"], f"{path}.service.port.name", names.port_name)
    elif port.get("number"):
        yield from in_range(port["number"], f"{path}.service.port.number", 1, 65535)
    else:
        yield required(path, "port name or number is required")

"""Security contexts of pods and containers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from minik8s.api.validation.common import MAX_INT32, Causes, in_range, one_of, relative_path
from minik8s.api.validation.podos import validate_windows_options
from minik8s.machinery.field import duplicate, invalid, not_supported, required

Part = Mapping[str, Any]

_PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL = "([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL_RE = re.compile(_SYSCTL)


def validate_container_security(security: Part, path: str, *, host_users: bool) -> Causes:
    """A container's own; `host_users` says whether the pod's users are the host's."""
    yield from _identities(security, path, "runAsUser", "runAsGroup")
    if mount := security.get("procMount"):
        yield from one_of(mount, f"{path}.procMount", ("Default", "Unmasked"))
        if host_users and mount == "Unmasked":
            yield invalid(f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`")
    yield from _profiles(security, path)
    if (options := security.get("windowsOptions")) is not None:
        yield from validate_windows_options(options, f"{path}.windowsOptions")
    if security.get("allowPrivilegeEscalation") is False:
        if security.get("privileged"):
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            yield invalid(path, dict(security), detail)
        if "CAP_SYS_ADMIN" in ((security.get("capabilities") or {}).get("add") or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            yield invalid(path, dict(security), detail)


def validate_pod_security(security: Part, spec: Part, path: str) -> Causes:
    """The pod's own security context, and what upstream reports under it."""
    if security:
        yield from _identities(security, path, "fsGroup", "runAsUser", "runAsGroup")
    for index, group in enumerate(security.get("supplementalGroups") or ()):
        yield from in_range(group, f"{path}.supplementalGroups[{index}]", 0, MAX_INT32)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid(f"{path}.shareProcessNamespace", True, detail)
    yield from _sysctls(security, spec, f"{path}.sysctls")
    for field, supported in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("MountOption", "Recursive")),
    ):
        value = security.get(field)
        if value is not None and value not in supported:
            yield not_supported(f"{path}.{field}", value, supported)
    yield from _profiles(security, path)
    if (options := security.get("windowsOptions")) is not None:
        yield from validate_windows_options(options, f"{path}.windowsOptions")


def _identities(security: Part, path: str, *fields: str) -> Causes:
    for field in fields:
        yield from in_range(security.get(field), f"{path}.{field}", 0, MAX_INT32)


def _profiles(security: Part, path: str) -> Causes:
    for field, name in (("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")):
        if (profile := security.get(field)) is not None:
            yield from _profile(profile, f"{path}.{field}", field, name)


def _profile(profile: Part, path: str, field: str, name: str) -> Causes:
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    if not kind:
        yield required(f"{path}.type", f"type is required when {field} is set")
    elif kind not in _PROFILE_TYPES:
        yield not_supported(f"{path}.type", kind, _PROFILE_TYPES)
    if kind == "Localhost":
        if not local:
            yield required(f"{path}.localhostProfile", f"must be set when {name} type is Localhost")
        elif name == "seccomp":
            yield from relative_path(local, f"{path}.localhostProfile")
        elif local != local.strip():
            yield invalid(f"{path}.localhostProfile", local, "must not be padded with whitespace")
    elif local is not None:
        yield invalid(f"{path}.localhostProfile", local, f"can only be set when {name} type is Localhost")


def _sysctls(security: Part, spec: Part, path: str) -> Causes:
    seen = set()
    for index, sysctl in enumerate(security.get("sysctls") or ()):
        name, place = sysctl.get("name", ""), f"{path}[{index}].name"
        if not name:
            yield required(place)
        elif len(name) > 253 or not _SYSCTL_RE.fullmatch(name):
            yield invalid(place, name, f"must have at most 253 characters and match regex ^{_SYSCTL}$")
        elif name in seen:
            yield duplicate(place, name)
        seen.add(name)
        if spec.get("hostNetwork") and name.replace("/", ".").startswith("net."):
            yield invalid(place, name, "may not be specified when 'hostNetwork' is true")
        if spec.get("hostIPC") and name.replace("/", ".").startswith(
            ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
        ):
            yield invalid(place, name, "may not be specified when 'hostIPC' is true")
